"""Rotary position embedding."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def rotate(
  x_BSNH: Float[Array, "B S N H"],
  positions_BS: Int[Array, "B S"],
  base: float = 10_000.0,
) -> Float[Array, "B S N H"]:
  """Turns pairs of coordinates by an angle that grows with the position.

  The product of two rotated vectors depends on the distance of their
  positions only. Source: Su et al. 2021, RoFormer, eq. 34 (halves instead of
  neighbours are paired).

  Raises:
    ValueError: if the head size H is odd.
  """
  size = x_BSNH.shape[-1]
  if size % 2:
    raise ValueError(f"rotary positions need an even head size, found {size}")
  half = size // 2
  frequencies = base ** (-jnp.arange(half, dtype=jnp.float32) / half)
  angles = positions_BS[:, :, None, None] * frequencies[None, None, None, :]
  cos, sin = jnp.cos(angles), jnp.sin(angles)
  left, right = x_BSNH[..., :half], x_BSNH[..., half:]
  turned = jnp.concatenate(
    [left * cos - right * sin, left * sin + right * cos], axis=-1
  )
  return turned.astype(x_BSNH.dtype)
