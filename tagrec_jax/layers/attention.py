"""Self-attention over packed rows."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from tagrec_jax.layers.linear import Linear
from tagrec_jax.layers.placing import spread
from tagrec_jax.layers.positions import pick
from tagrec_jax.layers.rotary import rotate


def packed_causal_mask(
  segments_BS: Int[Array, "B S"],
) -> Bool[Array, "B S S"]:
  """True where a question (second axis) may look at a source (third axis).

  It may look at itself and at earlier events of the same person. Padding
  (segment 0) looks at padding only, which nothing else ever reads.
  """
  size = segments_BS.shape[1]
  return packed_mask(segments_BS) & jnp.tril(jnp.ones((size, size), bool))[None]


def packed_mask(segments_BS: Int[Array, "B S"]) -> Bool[Array, "B S S"]:
  """The same where it may look at later events too."""
  return segments_BS[:, :, None] == segments_BS[:, None, :]


class SelfAttention(nnx.Module):
  """Multi-head attention (Vaswani et al. 2017, eq. 1).

  Args:
    of_rows: it reads rows of a batch, whose positions may lie on several
      devices. Each then asks for its own, and is brought all keys and values.
  """

  def __init__(
    self,
    width: int,
    heads: int,
    rngs: nnx.Rngs,
    *,
    rotary: bool,
    dtype: Any,
    of_rows: bool = False,
  ):
    self.of_rows = of_rows
    self.heads = heads
    self.rotary = rotary
    self.qkv = Linear(width, 3 * width, ("embed", "heads"), rngs, dtype=dtype)
    self.out = Linear(width, width, ("heads", "embed"), rngs, dtype=dtype)

  def __call__(
    self,
    x_BSD: Float[Array, "B S D"],
    mask_BTS: Bool[Array, "B S S"],
    positions_BS: Int[Array, "B S"],
    asked_BT: Int[Array, "B T"] | None = None,
    bias_BNTS: Float[Array, "B N S S"] | None = None,
  ) -> Float[Array, "B T D"]:
    """Mixes what each of the positions `asked_BT` may look at.

    Args:
      bias_BNTS: added to the logits, at all positions.
    """
    batch, size, width = x_BSD.shape
    shape = (batch, size, self.heads, 3 * width // self.heads)
    q_BTNH, k_BSNH, v_BSNH = jnp.split(self.qkv(x_BSD).reshape(shape), 3, -1)
    if self.rotary:
      q_BTNH = rotate(q_BTNH, positions_BS)
      k_BSNH = rotate(k_BSNH, positions_BS)
    if self.of_rows:
      q_BTNH = spread(q_BTNH, ("rows", "positions", "heads", None))
      k_BSNH = spread(k_BSNH, ("rows", None, "heads", None))
      v_BSNH = spread(v_BSNH, ("rows", None, "heads", None))
    q_BTNH, mask_BTS = pick(q_BTNH, asked_BT), pick(mask_BTS, asked_BT)
    scale = q_BTNH.shape[-1] ** -0.5
    logits_BNTS = jnp.einsum(
      "BTNH,BSNH->BNTS",
      q_BTNH * scale,
      k_BSNH,
      preferred_element_type=jnp.float32,
    )
    if self.of_rows and asked_BT is None:
      logits_BNTS = spread(logits_BNTS, ("rows", "heads", "positions", None))
    if bias_BNTS is not None:
      bias_BTSN = pick(jnp.moveaxis(bias_BNTS, 1, 3), asked_BT)
      logits_BNTS = logits_BNTS + jnp.moveaxis(bias_BTSN, 3, 1)
    # A finite floor: a row of padding stays finite, where -inf makes NaN.
    logits_BNTS = jnp.where(mask_BTS[:, None], logits_BNTS, -1e30)
    weights_BNTS = jax.nn.softmax(logits_BNTS).astype(x_BSD.dtype)
    mixed_BTNH = jnp.einsum("BNTS,BSNH->BTNH", weights_BNTS, v_BSNH)
    return self.out(mixed_BTNH.reshape(batch, -1, width))
