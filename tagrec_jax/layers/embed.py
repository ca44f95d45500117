"""From ids to vectors, with every id that is not in the table accounted for."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from tagrec_jax.layers import param
from tagrec_jax.layers.linear import Linear


def lookup(
  table_CD: Float[Array, "C D"], ids: Int[Array, "..."]
) -> Float[Array, "... D"]:
  """Rows of a table; zero vectors for negative ids.

  JAX would read -1 as the last row.
  """
  rows = table_CD[jnp.maximum(ids, 0)]
  return jnp.where((ids >= 0)[..., None], rows, jnp.zeros((), rows.dtype))


class Classes(nnx.Module):
  """A vector for each class of a category; missing (-1) is the zero vector."""

  def __init__(
    self, size: int, width: int, rngs: nnx.Rngs, axis: str | None = None
  ):
    self.table = param.table(size, width, (axis, "embed"), rngs)

  def __call__(self, ids: Int[Array, "..."]) -> Float[Array, "... D"]:
    return lookup(self.table[...], ids)


class Bag(nnx.Module):
  """The mean of the vectors of a set's members; an empty set is zero."""

  def __init__(
    self, size: int, width: int, rngs: nnx.Rngs, axis: str = "vocabulary"
  ):
    self.table = param.table(size, width, (axis, "embed"), rngs)

  def __call__(self, ids: Int[Array, "... M"]) -> Float[Array, "... D"]:
    total = lookup(self.table[...], ids).sum(-2)
    count = (ids >= 0).sum(-1, dtype=total.dtype)
    return total / jnp.maximum(count, 1.0)[..., None]


class Numbers(nnx.Module):
  """A linear map of standardised numbers; a missing one (NaN) adds nothing.

  Each number brings a second input that says whether it is there.
  """

  def __init__(self, count: int, width: int, rngs: nnx.Rngs):
    self.map = Linear(
      2 * count, width, (None, "embed"), rngs, dtype=jnp.float32, bias=False
    )

  def __call__(self, values: Float[Array, "... F"]) -> Float[Array, "... D"]:
    there = ~jnp.isnan(values)
    inputs = [jnp.where(there, values, 0.0), there.astype(jnp.float32)]
    return self.map(jnp.concatenate(inputs, axis=-1))
