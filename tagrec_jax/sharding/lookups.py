"""Rows of a table that devices share, brought to those that ask for them.

A device keeps some of the rows ('tensor') and some of the numbers of each row
('fsdp'). What moves are the vectors that are asked for, never the table: each
device answers all that devices along 'fsdp' ask with the numbers that it has,
and one exchange gives each its own questions with all numbers. Gradients go the
same way back, and are added up where they are kept.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, Int

from tagrec_jax.sharding.mesh import BATCH_AXES, POSITION_AXES

Names = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Lookup:
  """Where a table and those who ask lie.

  Attributes:
    mesh: of all devices.
    rows: mesh axes that share the rows of the table.
    numbers: those that share the numbers of a row.
    asked: of each axis of ids but the last, mesh axes that cut it while
      devices look into the table.
    turned: whether the first of these axes is cut along `numbers` as well,
      before and after: then a device gets whole vectors of its own.
    dtype: that rows are rounded to; None for that of the table.
  """

  mesh: Mesh
  rows: Names
  numbers: Names
  asked: tuple[Names, ...]
  turned: bool
  dtype: Any = None

  @classmethod
  def of(
    cls,
    mesh: Mesh,
    spec: PartitionSpec,
    shape: tuple[int, ...],
    names: tuple[str | None, ...],
    dtype: Any = None,
  ) -> Lookup:
    """How to look into a table.

    Args:
      spec: of the table.
      shape: of ids, the last axis left out.
      names: of these axes: 'rows' and 'positions' of a batch, or None where all
        devices ask the same.
    """
    rows, numbers = (_names(axis) for axis in tuple[Any, ...](spec))

    def cut(name: str | None, size: int) -> Names:
      axes = {"rows": BATCH_AXES, "positions": POSITION_AXES}.get(name or "")
      there = tuple(a for a in axes or () if mesh.shape.get(a, 1) > 1)
      parts = math.prod(mesh.shape[axis] for axis in there)
      return () if size % parts else there

    whole = [cut(*each) for each in zip(names, shape, strict=True)]
    turned = bool(numbers) and any(numbers[0] in axes for axes in whole[:1])
    asked = [tuple(a for a in axes if a not in numbers) for axes in whole]
    return cls(mesh, rows, numbers, tuple(asked), turned, dtype)

  @property
  def table_spec(self) -> PartitionSpec:
    return PartitionSpec(self.rows, self.numbers)

  @property
  def asked_spec(self) -> PartitionSpec:
    return PartitionSpec(*self.asked)

  @property
  def found_spec(self) -> PartitionSpec:
    """Of the vectors."""
    if not self.turned:
      return PartitionSpec(*self.asked, self.numbers)
    first, *others = self.asked
    return PartitionSpec(first + self.numbers, *others)

  def run(self, function: Callable, inputs: Any, outputs: Any) -> Callable:
    """The function, called on each device with its own part."""
    return jax.shard_map(
      function,
      mesh=self.mesh,
      in_specs=inputs,
      out_specs=outputs,
      check_vma=False,  # nothing is differentiated through the map
    )

  def turn(self, x: Array) -> Array:
    """From some numbers of all vectors to all numbers of some vectors."""
    if not self.turned:
      return x
    (axis,) = self.numbers
    return lax.all_to_all(x, axis, 0, x.ndim - 1, tiled=True)

  def turn_back(self, x: Array) -> Array:
    if not self.turned:
      return x
    (axis,) = self.numbers
    return lax.all_to_all(x, axis, x.ndim - 1, 0, tiled=True)

  def here(self, ids: Array, size: int) -> Array:
    """Which of a device's own rows an id is; `size`, past them, if none."""
    first = lax.axis_index(self.rows) * size if self.rows else 0
    places = ids - first
    return jnp.where((places >= 0) & (places < size), places, size)

  def read(self, table_VD: Array, places: Array) -> Array:
    """Own rows, in float32; 0 past them."""
    rows = table_VD.at[places].get(mode="fill", fill_value=0)
    return rows.astype(self.dtype or rows.dtype).astype(jnp.float32)

  def parts(self, axes: Names) -> int:
    """Into how many parts an array is cut along some of the axes."""
    return math.prod(self.mesh.shape[axis] for axis in axes)


def _names(axis: str | None) -> Names:
  return (axis,) if axis else ()


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def sums(
  lookup: Lookup,
  learned: bool,
  table_VD: Float[Array, "V D"],
  ids: Int[Array, "*any M"],
  shares: Float[Array, "*any M"],
) -> Float[Array, "*any D"]:
  """Σ_m shares[m] · table[ids[m]]; an id that is not in the table adds nothing.

  One m after the other: an array [*any, M, D] is never made.

  Args:
    learned: whether shares have gradients.
  """
  del learned

  def local(table_VD, ids, shares):
    def add(sum_ND, one):
      ids_N, shares_N = one
      rows_ND = lookup.read(table_VD, lookup.here(ids_N, len(table_VD)))
      return sum_ND + rows_ND * shares_N[..., None], None

    start_ND = jnp.zeros((*ids.shape[:-1], table_VD.shape[1]))
    sum_ND, _ = _one_by_one(add, start_ND, ids, shares)
    return lookup.turn(_sum_over(lookup.rows, sum_ND))

  asked = lookup.asked_spec
  run = lookup.run(local, (lookup.table_spec, asked, asked), lookup.found_spec)
  return run(table_VD, ids, shares)


def _forward(
  lookup: Lookup, learned: bool, table_VD: Array, ids: Array, shares: Array
) -> tuple[Array, tuple[Array, Array, Array]]:
  return sums(lookup, learned, table_VD, ids, shares), (table_VD, ids, shares)


def _backward(
  lookup: Lookup,
  learned: bool,
  saved: tuple[Array, Array, Array],
  gradient: Array,
) -> tuple[Array, None, Array | None]:
  table_VD, ids, shares = saved
  size = len(table_VD) // lookup.parts(lookup.rows)
  asked, found, kept = lookup.asked_spec, lookup.found_spec, lookup.table_spec

  def of_table(ids, shares, gradient):
    grad_ND = lookup.turn_back(gradient)

    def add(sum_VD, one):
      ids_N, shares_N = one
      share_ND = grad_ND * shares_N[..., None]
      places_N = lookup.here(ids_N, size)
      return sum_VD.at[places_N].add(share_ND, mode="drop"), None

    start_VD = jnp.zeros((size, grad_ND.shape[-1]))
    sum_VD, _ = _one_by_one(add, start_VD, ids, shares)
    over = tuple(axis for axes in lookup.asked for axis in axes)
    return _sum_over(over, sum_VD)

  def of_shares(table_VD, ids, shares, gradient):
    grad_ND = lookup.turn_back(gradient)

    def multiply(nothing, one):
      rows_ND = lookup.read(table_VD, lookup.here(one[0], size))
      return nothing, jnp.sum(grad_ND * rows_ND, axis=-1)

    _, products_MN = _one_by_one(multiply, None, ids, shares)
    products_MN = _sum_over(lookup.rows + lookup.numbers, products_MN)
    return jnp.moveaxis(products_MN, 0, -1)

  run = lookup.run(of_table, (asked, asked, found), kept)
  table_grad = run(ids, shares, gradient).astype(table_VD.dtype)
  if not learned:
    return table_grad, None, None
  run = lookup.run(of_shares, (kept, asked, asked, found), asked)
  return table_grad, None, run(table_VD, ids, shares, gradient)


sums.defvjp(_forward, _backward)


def _one_by_one(
  add: Callable[..., tuple[Any, Any]], start: Any, ids: Array, shares: Array
) -> tuple[Any, Any]:
  """As `lax.scan` over the last axis of ids and shares; one needs no loop."""
  every = jnp.moveaxis(ids, -1, 0), jnp.moveaxis(shares, -1, 0)
  if ids.shape[-1] > 1:
    return lax.scan(add, start, every)
  end, made = add(start, jax.tree.map(lambda x: x[0], every))
  return end, jax.tree.map(lambda x: x[None], made)


def _sum_over(axes: Names, x: Array) -> Array:
  return lax.psum(x, axes) if axes else x
