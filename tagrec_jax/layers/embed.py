"""From ids to vectors, with every id that is not in the table accounted for."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.layers import param
from tagrec_jax.layers.linear import Linear
from tagrec_jax.layers.placing import OF_BATCH, current, summed
from tagrec_jax.layers.rows import weighted_rows


def lookup(
  table_CD: Float[Array, "C D"],
  ids: Int[Array, "..."],
  axes: param.Axes | None = None,
  of: param.Axes = OF_BATCH,
) -> Float[Array, "... D"]:
  """Rows of a table; zero vectors for negative ids.

  JAX would read -1 as the last row.

  Args:
    axes: of a table that is looked up where it is stored; None for one that
      is put in place.
    of: names of the first axes of ids, see `placing.summed`.
  """
  if axes is not None and current().splits_tables:
    ids_1, shares_1 = ids[..., None], jnp.ones((*ids.shape, 1))
    return summed(table_CD, axes, ids_1, shares_1, of)
  rows = table_CD[jnp.maximum(ids, 0)]
  return jnp.where((ids >= 0)[..., None], rows, jnp.zeros((), rows.dtype))


def sums(
  table_CD: Float[Array, "C D"],
  ids: Int[Array, "... M"],
  axes: param.Axes,
  of: param.Axes = OF_BATCH,
) -> Float[Array, "... D"]:
  """Σ_m table[ids[m]]; see `lookup`."""
  if current().splits_tables:
    return summed(table_CD, axes, ids, jnp.ones(ids.shape), of)
  return lookup(table_CD, ids).sum(-2)


class Classes(nnx.Module):
  """A vector for each class of a category; missing (-1) is the zero vector."""

  def __init__(
    self, size: int, width: int, rngs: nnx.Rngs, axis: str | None = None
  ):
    self.axes = (axis, "embed") if axis else None
    make = param.long_table if axis else param.table
    self.table = make(size, width, (axis, "embed"), rngs)

  def __call__(
    self, ids: Int[Array, "..."], of: param.Axes = OF_BATCH
  ) -> Float[Array, "... D"]:
    return lookup(self.table[...], ids, self.axes, of)


class Bag(nnx.Module):
  """The sum of the vectors of a set's members / √(how many there are).

  So a large set says more than a small one, but not as many times more. An
  empty set is zero.
  """

  def __init__(
    self, size: int, width: int, rngs: nnx.Rngs, axis: str = "vocabulary"
  ):
    self.axes = (axis, "embed")
    self.table = param.long_table(size, width, self.axes, rngs)

  def __call__(
    self, ids: Int[Array, "... M"], of: param.Axes = OF_BATCH
  ) -> Float[Array, "... D"]:
    total = sums(self.table[...], ids, self.axes, of)
    count = (ids >= 0).sum(-1, dtype=total.dtype)
    return total / jnp.sqrt(jnp.maximum(count, 1.0))[..., None]


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


class Bins(nnx.Module):
  """A curve for each standardised number: a vector at each of its knots.

  Between two knots it is a line, past the last ones it stays where it is. So a
  number can mean one thing when small, another in the middle and a third when
  large, which a linear map cannot say. A missing number (NaN) has a vector of
  its own: that a price is not known tells something.
  """

  KNOTS = 17
  REACH = 3.0  # the first knot stands at -REACH, the last at REACH

  def __init__(
    self, count: int, width: int, rngs: nnx.Rngs, axis: str | None = None
  ):
    rows = count * (self.KNOTS + 1)
    self.table = param.table(rows, width, (axis, "embed"), rngs)

  def __call__(self, values_NM: Float[Array, "N M"]) -> Float[Array, "N D"]:
    there_NM = ~jnp.isnan(values_NM)
    step = 2 * self.REACH / (self.KNOTS - 1)
    place_NM = (jnp.where(there_NM, values_NM, 0.0) + self.REACH) / step
    place_NM = jnp.clip(place_NM, 0.0, self.KNOTS - 1)
    below_NM = jnp.minimum(place_NM.astype(jnp.int32), self.KNOTS - 2)
    share_NM = place_NM - below_NM
    first_1M = jnp.arange(values_NM.shape[1])[None] * (self.KNOTS + 1)
    # A missing number reads the row after its knots, and nothing besides.
    lower_NM = jnp.where(there_NM, below_NM, self.KNOTS) + first_1M
    upper_NM = jnp.where(there_NM, below_NM + 1 + first_1M, UNKNOWN)
    return weighted_rows(
      self.table[...],
      jnp.concatenate([lower_NM, upper_NM], axis=1),
      jnp.concatenate(
        [jnp.where(there_NM, 1.0 - share_NM, 1.0), share_NM], axis=1
      ),
    )
