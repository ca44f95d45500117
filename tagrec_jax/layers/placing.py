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

from tagrec_jax.layers.param import Axes, Weight


@runtime_checkable
class Place(Protocol):
  """Says where the devices keep an array; it is hashable."""

  @property
  def splits_positions(self) -> bool:
    """Whether a row of a batch lies on several devices."""
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

  def used(self, x: Array, axes: Axes) -> Array:
    del axes
    return x

  def stored(self, x: Array, axes: Axes) -> Array:
    del axes
    return x

  def spread(self, x: Array, axes: Axes) -> Array:
    del axes
    return x


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

  These are weights of linear maps, narrowed first, and what a loop over layers
  takes one by one. Gradients of tables are made whole: a sum of vectors to the
  place of each token, cut along the vectors, would move all tokens.
  """
  place = current()
  if place is ANYWHERE:
    return
  for _, variable in nnx.iter_graph(module):
    if isinstance(variable, nnx.Param) and not isinstance(variable, Weight):
      axes = variable.get_metadata()["axes"]
      if "layers" not in axes:
        variable[...] = place.used(variable[...], axes)


def spread(x: Array, axes: Axes) -> Array:
  """What belongs to positions of rows, where these lie on several devices."""
  place = current()
  return place.spread(x, axes) if place.splits_positions else x


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
