"""Random streams that are named, not drawn in order.

A key depends on the seed, the purpose and the step, never on what ran before,
so a resumed run draws the same numbers.
"""

from __future__ import annotations

import zlib

import jax
import numpy as np


def named_key(seed: int, purpose: str) -> jax.Array:
  """The root key of one purpose ('params', 'dropout', 'negatives')."""
  return jax.random.fold_in(
    jax.random.key(seed), zlib.crc32(purpose.encode()) & 0x7FFFFFFF
  )


def named_generator(
  seed: int, purpose: str, *counters: int
) -> np.random.Generator:
  """The same on the host: a numpy generator for (seed, purpose, counters)."""
  return np.random.default_rng((seed, zlib.crc32(purpose.encode()), *counters))
