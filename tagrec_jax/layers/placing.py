"""Where arrays lie while a step computes, if somebody cares.

A layer says what an array is, by the names of its axes; whoever compiles the
step says where that goes (sharding/rules.py). Elsewhere nothing happens.
"""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
from flax import nnx
from jaxtyping import Array

from tagrec_jax.layers.param import Axes, Table, Weight


@runtime_checkable
class Place(Protocol):
  """Says where the devices keep an array; it is hashable."""

  @property
  def splits_positions(self) -> bool:
    """Whether a row of a batch lies on several devices."""
    ...

  @property
  def splits_tables(self) -> bool:
    """Whether a table lies on several devices."""
    ...

  def few(self, name: str) -> Place:
    """Where an axis has so few places that all devices hold them."""
    ...

  def sums(
    self,
    table_VD: Array,
    axes: Axes,
    ids: Array,
    shares: Array,
    of: Axes,
    learned: bool,
    dtype: Any,
  ) -> Array:
    """See `sums`; only for what splits tables."""
    ...

  def used(self, x: Array, axes: Axes) -> Array:
    """The array where layers compute with it."""
    ...

  def stored(self, x: Array, axes: Axes) -> Array:
    """The array where it is kept between steps: a gradient, for example."""
    ...

  def spread(self, x: Array, axes: Axes) -> Array:
    """What belongs to the questions of a batch, by 'rows' and 'positions'."""
    ...


class Anywhere:
  """Where nobody cares."""

  splits_positions = False
  splits_tables = False

  def few(self, name: str) -> Place:
    del name
    return self

  def sums(self, *_: Any) -> Array:
    raise ValueError("no table is split here")

  def used(self, x: Array, axes: Axes) -> Array:
    del axes
    return x

  def stored(self, x: Array, axes: Axes) -> Array:
    del axes
    return x

  def spread(self, x: Array, axes: Axes) -> Array:
    del axes
    return x


OF_BATCH: Axes = ("rows", "positions")
"""The first axes of what is asked of each event in a batch."""

ANYWHERE: Place = Anywhere()
_place = contextvars.ContextVar("place", default=ANYWHERE)


def with_place(place: Place, function: Callable[..., Any]) -> Any:
  """The function, all layers inside which keep to `place`."""

  @functools.wraps(function)
  def inside(*args: Any) -> Any:
    token = _place.set(place)
    try:
      return function(*args)
    finally:
      _place.reset(token)

  return inside


def current() -> Place:
  """Of the function that is traced now.

  What is traced later, as derivatives are, has to keep it.
  """
  return _place.get()


def placed(x: Array, axes: Axes) -> Array:
  """A parameter where layers use it; its gradient goes where it is stored.

  Said of both, or devices that share the storage of a parameter would each
  hold the whole gradient.
  """
  place = current()
  return x if place is ANYWHERE else _placed(place, True, axes, x)


def put_in_place(module: nnx.Module) -> None:
  """Places all parameters but those that layers place when they use them.

  These are weights of linear maps, narrowed first, what a loop over layers
  takes one by one, and tables that devices share: they are looked up where they
  are stored.
  """
  place = current()
  if place is ANYWHERE:
    return
  placed_when_used = (Weight, Table) if place.splits_tables else Weight
  for _, variable in nnx.iter_graph(module):
    if isinstance(variable, nnx.Param) and not isinstance(
      variable, placed_when_used
    ):
      axes = variable.get_metadata()["axes"]
      if "layers" not in axes:
        variable[...] = place.used(variable[...], axes)


def spread(x: Array, axes: Axes) -> Array:
  """What belongs to positions of rows, where these lie on several devices."""
  place = current()
  return place.spread(x, axes) if place.splits_positions else x


def stored(x: Array, axes: Axes) -> Array:
  """An array where a parameter with these axes is stored; its gradient too."""
  place = current()
  return place.stored(x, axes) if place.splits_tables else x


def by_rows(x: Array) -> Array:
  """What devices compute for some rows each, if they share tables.

  Rows of a batch, or products that are encoded for all of it.
  """
  place = current()
  axes = ("rows", *(None,) * (x.ndim - 1))
  return place.spread(x, axes) if place.splits_tables else x


def summed(
  table_VD: Array,
  axes: Axes,
  ids: Array,
  shares: Array,
  of: Axes = OF_BATCH,
  *,
  learned: bool = False,
  dtype: Any = None,
) -> Array:
  """Σ_m shares[..., m] · table[ids[..., m]], where devices share tables.

  The table stays where it is stored, and so does its gradient.

  Args:
    axes: of the table.
    ids: one that is not in the table, such as a negative one, adds nothing.
    of: names of the first axes of ids. Each device gets the vectors of its own
      part of the 'rows' and 'positions' of a batch. Without names all devices
      ask the same: then each gets what it has of all vectors, as of `axes`.
    learned: whether shares have gradients.
    dtype: that rows of the table are rounded to, None for none.
  """
  of = (*of, *(None,) * ids.ndim)[: ids.ndim - 1]
  return current().sums(table_VD, axes, ids, shares, of, learned, dtype)


def stored_gradient(x: Array, axes: Axes) -> Array:
  """A parameter as it is stored, and so its gradient."""
  place = current()
  return x if place is ANYWHERE else _placed(place, False, axes, x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _placed(place: Place, is_used: bool, axes: Axes, x: Array) -> Array:
  return place.used(x, axes) if is_used else x


def _forward(
  place: Place, is_used: bool, axes: Axes, x: Array
) -> tuple[Array, None]:
  return place.used(x, axes) if is_used else x, None


def _backward(
  place: Place, is_used: bool, axes: Axes, kept: None, gradient: Array
) -> tuple[Array]:
  del is_used, kept
  return (place.stored(gradient, axes),)


_placed.defvjp(_forward, _backward)
