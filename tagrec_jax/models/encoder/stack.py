"""Transformer blocks whose tokens all see each other."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.layers import param
from tagrec_jax.layers.noise import Noise, dropout
from tagrec_jax.layers.tokens import Tokens
from tagrec_jax.models.encoder.blocks import make_blocks


class TokenStack(nnx.Module):
  """Words of a text, patches of a picture or stretches of a sound → tokens.

  Args:
    size: S, how many tokens there are, padding among them.
  """

  def __init__(self, settings: ModelSettings, size: int, rngs: nnx.Rngs):
    self.rate = settings.dropout
    self.dtype = jnp.dtype(settings.compute_dtype)
    self.positions = (
      param.table(size, settings.width, (None, "embed"), rngs)
      if settings.positions == "learned"
      else None
    )
    self.blocks = make_blocks(settings, settings.layers, rngs)
    self.norm = param.layer_norm(settings.width, rngs, dtype=self.dtype)

  def __call__(
    self,
    x_NSD: Float[Array, "N S D"],
    there_NS: Bool[Array, "N S"],
    noise: Noise | None,
  ) -> Tokens:
    if self.positions is not None:
      x_NSD = x_NSD + self.positions[...][None]
    x_NSD = dropout(x_NSD.astype(self.dtype), self.rate, noise)
    size, length = there_NS.shape
    mask_NTS = jnp.broadcast_to(there_NS[:, None], (size, length, length))
    positions_NS = jnp.broadcast_to(jnp.arange(length)[None], (size, length))
    x_NSD = self.blocks(x_NSD, mask_NTS, positions_NS, noise)
    x_NSD = self.norm(x_NSD).astype(jnp.float32)
    return Tokens(jnp.where(there_NS[..., None], x_NSD, 0.0), there_NS)
