"""A module as pure functions of its parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import jax
from flax import nnx
from jaxtyping import Array

from tagrec_jax.layers.param import logical_axes
from tagrec_jax.layers.placing import put_in_place

Params = dict[str, Any]
M = TypeVar("M", bound=nnx.Module)


class Pure(Generic[M]):
  """What all tasks do alike with the module they are made of.

  The module is taken apart once; parameters are a pure dict from then on.

  Args:
    make: rngs → the module.

  Attributes:
    axes: the logical axes of each parameter, parallel to what `init` makes.
  """

  def __init__(self, make: Callable[[nnx.Rngs], M]):
    self._make = make
    abstract = nnx.eval_shape(lambda: make(nnx.Rngs(params=jax.random.key(0))))
    self._graph, state = nnx.split(abstract, nnx.Param)
    self.axes = logical_axes(state)

  def init(self, key: Array) -> Params:
    """New parameters: a pure dict of float32 arrays."""
    module = self._make(nnx.Rngs(params=key))
    return nnx.to_pure_dict(nnx.state(module, nnx.Param))

  def _model(self, params: Params) -> M:
    """The module, its parameters where its layers want them."""
    model = nnx.merge(self._graph, nnx.State(params))
    put_in_place(model)
    return model
