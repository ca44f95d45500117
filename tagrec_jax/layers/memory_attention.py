"""Attention whose keys and values are kept, to be asked more than once."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from tagrec_jax.layers.linear import Linear


class Kept(NamedTuple):
  """What may be attended to."""

  k_BSNH: Float[Array, "B S N H"]
  v_BSNH: Float[Array, "B S N H"]


class MemoryAttention(nnx.Module):
  """Multi-head attention (Vaswani et al. 2017, eq. 1) to what was kept."""

  def __init__(self, width: int, heads: int, rngs: nnx.Rngs, *, dtype: Any):
    self.heads = heads
    self.query = Linear(width, width, ("embed", "heads"), rngs, dtype=dtype)
    self.kept = Linear(width, 2 * width, ("embed", "heads"), rngs, dtype=dtype)
    self.out = Linear(width, width, ("heads", "embed"), rngs, dtype=dtype)

  def keep(self, memory_BSD: Float[Array, "B S D"]) -> Kept:
    """Keys and values of a memory."""
    batch, size, width = memory_BSD.shape
    shape = (batch, size, self.heads, 2 * width // self.heads)
    return Kept(*jnp.split(self.kept(memory_BSD).reshape(shape), 2, -1))

  def __call__(
    self,
    x_BTD: Float[Array, "B T D"],
    kept: Kept,
    mask_BTS: Bool[Array, "B T S"],
    bias_BNTS: Float[Array, "B N T S"] | None = None,
  ) -> Float[Array, "B T D"]:
    """Mixes what each position may look at.

    Args:
      bias_BNTS: added to the logits.
    """
    batch, size, width = x_BTD.shape
    shape = (batch, size, self.heads, width // self.heads)
    q_BTNH = self.query(x_BTD).reshape(shape)
    logits_BNTS = jnp.einsum(
      "BTNH,BSNH->BNTS",
      q_BTNH * q_BTNH.shape[-1] ** -0.5,
      kept.k_BSNH,
      preferred_element_type=jnp.float32,
    )
    if bias_BNTS is not None:
      logits_BNTS = logits_BNTS + bias_BNTS
    # As in self-attention: a row that may look at nothing stays finite.
    logits_BNTS = jnp.where(mask_BTS[:, None], logits_BNTS, -1e30)
    weights_BNTS = jax.nn.softmax(logits_BNTS).astype(x_BTD.dtype)
    mixed_BTNH = jnp.einsum("BNTS,BSNH->BTNH", weights_BNTS, kept.v_BSNH)
    return self.out(mixed_BTNH.reshape(batch, size, width))
