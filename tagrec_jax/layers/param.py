"""Parameters that carry the names of their axes.

Sharding rules map these names to mesh axes; a layer says *what* an axis is,
never *where* it goes.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

Axes = tuple[str | None, ...]
"""Logical axis names, or None.

They are 'products', 'vocabulary', 'embed', 'heads' and 'hidden'. 'products' is
the first axis of tables with a row for each product of the catalogue: a step
may read and write a few of these rows only.
"""

_init = jax.nn.initializers


def table(rows: int, width: int, axes: Axes, rngs: nnx.Rngs) -> nnx.Param:
  """A float32 table [rows, width] of small random vectors.

  Small, so that a sum of several of them (id, tags, title) begins with scores
  near 0 and the first loss is that of an even guess.
  """
  value = 0.02 * jax.random.normal(rngs.params(), (rows, width))
  return nnx.Param(value, axes=axes)


def zeros(shape: tuple[int, ...], axes: Axes) -> nnx.Param:
  """A float32 parameter that starts at zero."""
  return nnx.Param(jnp.zeros(shape, jnp.float32), axes=axes)


def linear(
  inputs: int,
  outputs: int,
  axes: Axes,
  rngs: nnx.Rngs,
  *,
  dtype: Any,
  bias: bool = True,
  zero: bool = False,
) -> nnx.Linear:
  """y = xW + b with named axes.

  Args:
    axes: of W [inputs, outputs]; b has the second.
    dtype: of the matmul; W and b are stored in float32.
    zero: start as the zero map, for corrections that begin without effect.
  """
  return _Linear(
    inputs,
    outputs,
    use_bias=bias,
    dtype=dtype,
    kernel_init=_init.zeros if zero else _init.xavier_uniform(),
    kernel_metadata={"axes": axes},
    bias_metadata={"axes": axes[1:]},
    rngs=rngs,
  )


class _Linear(nnx.Linear):
  """The same map, laid out for XLA's CPU backend.

  The gradient of W contracts the leading axes, at a third of the speed where
  there are two of them; that of b is a sum over all tokens, which is slow in
  bfloat16 and loses digits.
  """

  def __call__(self, x: Float[Array, "*any D"]) -> Float[Array, "*any E"]:
    x_ND = x.reshape(-1, x.shape[-1]).astype(self.dtype)
    y_NE = x_ND @ self.kernel[...].astype(self.dtype)
    if self.bias is not None:
      y_NE = y_NE.astype(jnp.float32) + self.bias[...][None]
    return y_NE.astype(self.dtype).reshape(*x.shape[:-1], -1)


def layer_norm(width: int, rngs: nnx.Rngs, *, dtype: Any) -> nnx.LayerNorm:
  """Layer normalisation; its scale and bias are small and never split."""
  return nnx.LayerNorm(
    width,
    dtype=dtype,
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
