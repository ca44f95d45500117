"""Parameters that carry the names of their axes.

Sharding rules map these names to mesh axes; a layer says *what* an axis is,
never *where* it goes.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

Axes = tuple[str | None, ...]
"""Logical axis names, or None.

They are 'products', 'vocabulary', 'content', 'people', 'embed', 'heads',
'hidden' and 'layers'. 'products' is the first axis of tables with a row for
each product of the catalogue: a step may read and write a few of these rows
only. 'content' is that of tables of n-grams, words and classes that describe
products. 'layers' is the first axis of parameters that blocks of the same kind
keep in one stack. 'catalogue' is that of entries which may be of any kind.
"""

PRODUCTS: Axes = ("products", "embed")
"""Of the vectors of all products."""

CATALOGUE: Axes = ("catalogue", "embed")
"""Of the vectors of a catalogue of any kind."""


class Weight(nnx.Param):
  """Of a linear map, which puts it in place when it is used, see `placing`.

  All other parameters are put in place before any layer is called.
  """


class Table(nnx.Param):
  """Of vectors that are looked up where they are stored, see `layers.embed`.

  Devices that share it never hold a whole one.
  """


def table(rows: int, width: int, axes: Axes, rngs: nnx.Rngs) -> nnx.Param:
  """A float32 table [rows, width] of small random vectors.

  Small, so that a sum of several of them (id, tags, title) begins with scores
  near 0 and the first loss is that of an even guess.
  """
  return nnx.Param(_vectors(rows, width, rngs), axes=axes)


def long_table(rows: int, width: int, axes: Axes, rngs: nnx.Rngs) -> Table:
  """The same with a row for each of what a data set has: it may be large."""
  return Table(_vectors(rows, width, rngs), axes=axes)


def _vectors(rows: int, width: int, rngs: nnx.Rngs) -> Any:
  return 0.02 * jax.random.normal(rngs.params(), (rows, width))


def zeros(shape: tuple[int, ...], axes: Axes) -> nnx.Param:
  """A float32 parameter that starts at zero."""
  return nnx.Param(jnp.zeros(shape, jnp.float32), axes=axes)


def of(values: np.ndarray, axes: Axes) -> nnx.Param:
  """A float32 parameter that starts at what is known before training."""
  return nnx.Param(jnp.asarray(values, jnp.float32), axes=axes)


class LayerNorm(nnx.LayerNorm):
  """Computed in float32, as are the sums over all tokens of its gradients.

  Args:
    answer_dtype: of what it gives.
  """

  def __init__(self, *args: Any, answer_dtype: Any, **kwargs: Any):
    super().__init__(*args, dtype=jnp.float32, **kwargs)
    self.answer_dtype = jnp.dtype(answer_dtype)

  def __call__(self, x: Any, *, mask: Any = None) -> Any:
    return super().__call__(x, mask=mask).astype(self.answer_dtype)


def layer_norm(
  width: int, rngs: nnx.Rngs, *, dtype: Any, epsilon: float = 1e-6
) -> LayerNorm:
  """Layer normalisation; its scale and bias are small and never split."""
  return LayerNorm(
    width,
    epsilon=epsilon,
    answer_dtype=dtype,
    scale_metadata={"axes": (None,)},
    bias_metadata={"axes": (None,)},
    rngs=rngs,
  )


def logical_axes(params: nnx.State) -> dict[str, Any]:
  """The axes of every parameter, as a pure dict parallel to the values."""
  named = jax.tree.map(
    lambda variable: variable.get_metadata()["axes"],
    params,
    is_leaf=lambda leaf: isinstance(leaf, nnx.Variable),
  )
  return nnx.to_pure_dict(named)
