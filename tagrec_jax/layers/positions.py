"""Some positions of a row."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Int, Shaped


def pick(
  x_BS: Shaped[Array, "B S *any"], asked_BT: Int[Array, "B T"] | None
) -> Shaped[Array, "B T *any"]:
  """What stands at some positions; None asks for all of them."""
  if asked_BT is None:
    return x_BS
  rows_B1 = jnp.arange(x_BS.shape[0])[:, None]
  return x_BS[rows_B1, asked_BT]
