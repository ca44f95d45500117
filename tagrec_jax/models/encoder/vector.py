"""Vectors that an encoder which is not trained here has made."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.data.spec import Feature
from tagrec_jax.layers import param
from tagrec_jax.layers.linear import Linear
from tagrec_jax.layers.noise import Noise, dropout
from tagrec_jax.layers.tokens import Tokens


class VectorMap(nnx.Module):
  """A linear map with layer normalisation: one token."""

  def __init__(self, feature: Feature, settings: ModelSettings, rngs: nnx.Rngs):
    dtype = jnp.dtype(settings.compute_dtype)
    self.rate = settings.dropout
    self.map = Linear(
      feature.width, settings.width, (None, "embed"), rngs, dtype=dtype
    )
    self.norm = param.layer_norm(settings.width, rngs, dtype=jnp.float32)

  def __call__(
    self, values: Float[Array, "N F"], noise: Noise | None
  ) -> Tokens:
    there_N1 = ~jnp.isnan(values).any(1, keepdims=True)
    known_NF = dropout(jnp.where(there_N1, values, 0.0), self.rate, noise)
    vectors_ND = self.norm(self.map(known_NF).astype(jnp.float32))
    vectors_ND = jnp.where(there_N1, vectors_ND, 0.0)
    return Tokens(vectors_ND[:, None], there_N1)
