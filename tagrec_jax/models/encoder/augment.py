"""Random changes of pictures that leave alone what they show."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tagrec_jax.layers.noise import Noise

SHIFT = 8
"""The farthest shift is one part in so many of a picture's side."""
LIGHT = 0.2
"""The most that is added to pixels from -1 to 1, and to their contrast of 1."""


def augment(
  x_NYXI: Float[Array, "N Y X I"], noise: Noise
) -> Float[Array, "N Y X I"]:
  """Mirrors every second picture, shifts it, changes brightness and contrast.

  Args:
    x_NYXI: pixels from -1 to 1; what a shift uncovers repeats the edge.
  """
  size, height, width, channels = x_NYXI.shape
  mirrored = noise.keep((size, 1, 1, 1), 0.5)
  x_NYXI = jnp.where(mirrored, x_NYXI[:, :, ::-1], x_NYXI)
  far = max(height, width) // SHIFT
  start_N2 = noise.uniform((size, 2), 0.0, 2.0 * far + 1).astype(jnp.int32)
  framed = jnp.pad(x_NYXI, ((0, 0), (far, far), (far, far), (0, 0)), "edge")
  x_NYXI = jax.vmap(
    lambda x, start: jax.lax.dynamic_slice(
      x, (start[0], start[1], 0), (height, width, channels)
    )
  )(framed, start_N2)
  contrast = noise.uniform((size, 1, 1, 1), 1 - LIGHT, 1 + LIGHT)
  brightness = noise.uniform((size, 1, 1, 1), -LIGHT, LIGHT)
  return x_NYXI * contrast + brightness
