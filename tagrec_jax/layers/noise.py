"""Dropout from a counter and a hash.

Each element's random bits are a hash of its place and the step's key. That
costs a few integer operations where threefry costs dozens, needs no state, and
an element gets the same bits however the batch is split over devices.
"""

from __future__ import annotations

import copy
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, UInt32

_STRIDE = 0x9E3779B1
"""Between the seeds of two sites: odd, so that 2^32 of them differ."""


def mix(bits: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
  """The finaliser of MurmurHash3: every input bit moves every output bit."""
  bits = (bits ^ (bits >> 16)) * jnp.uint32(0x85EBCA6B)
  bits = (bits ^ (bits >> 13)) * jnp.uint32(0xC2B2AE35)
  return bits ^ (bits >> 16)


class Noise:
  """The random choices of one forward pass.

  Each call of a method is a new site with bits of its own, so the order of
  calls must not depend on data (it is fixed when the function is traced).

  Args:
    key: of this step; a typed key from `jax.random.key`.
    shard: index of this part of the batch where each device runs the program
      on its own rows (pmap); 0 where the program sees the whole batch.
  """

  def __init__(self, key: Array, shard: Array | int = 0):
    data = jax.random.key_data(key).astype(jnp.uint32)
    self.seed = mix(data[0] + jnp.uint32(0x9E3779B9) * data[1])
    self._shard = jnp.asarray(shard, jnp.uint32)
    self._site = 0

  def keep(self, shape: tuple[int, ...], rate: float) -> Bool[Array, "..."]:
    """False with probability `rate`, for each element of a new site."""
    return self._bits(shape) >= jnp.uint32(int(rate * 2**32))

  def uniform(
    self, shape: tuple[int, ...], low: float, high: float
  ) -> Float[Array, "..."]:
    """Numbers from low to high, for each element of a new site."""
    steps = (self._bits(shape) >> 8).astype(jnp.float32)  # 24 bits, all exact
    return low + (high - low) * steps / 2**24

  def turn(self, number: Array, sites: int) -> Noise:
    """The noise in a turn of a loop that is traced once.

    Each turn uses so many sites of its own, as if it had been traced for
    itself. After the loop, `skip` those of all turns.
    """
    noise = copy.copy(self)
    first = jnp.asarray(number, jnp.uint32) * jnp.uint32(sites)
    noise.seed = self.seed + first * jnp.uint32(_STRIDE)
    return noise

  def skip(self, sites: int) -> None:
    """Goes on after sites that others used."""
    self._site += sites

  def _bits(self, shape: tuple[int, ...]) -> UInt32[Array, "..."]:
    self._site += 1
    seed = mix(self.seed + jnp.uint32(self._site * _STRIDE % 2**32))
    size = math.prod(shape)
    place = jax.lax.iota(jnp.uint32, size) + self._shard * jnp.uint32(size)
    return mix(place * jnp.uint32(0x9E3779B1) ^ seed).reshape(shape)


def dropout(
  x: Float[Array, "B *rest"], rate: float, noise: Noise | None
) -> Float[Array, "B *rest"]:
  """Zeroes elements with probability `rate` and rescales the others.

  Without noise, or at rate 0, x is returned as it is.
  """
  if noise is None or rate == 0.0:
    return x
  keep = noise.keep(x.shape, rate)
  return jnp.where(keep, x / (1.0 - rate), jnp.zeros((), x.dtype))
