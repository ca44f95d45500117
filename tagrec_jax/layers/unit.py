"""Vectors of length 1."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def unit(x: Float[Array, "*any D"]) -> Float[Array, "*any D"]:
  """The same directions, in float32; what is 0 stays so."""
  x = x.astype(jnp.float32)
  return x * jax.lax.rsqrt((x * x).sum(-1, keepdims=True) + 1e-12)
