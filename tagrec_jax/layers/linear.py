"""Linear maps with named axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from tagrec_jax.layers import param
from tagrec_jax.layers.placing import current, placed, stored_gradient

_init = jax.nn.initializers


class Linear(nnx.Module):
  """y = xW + b, laid out for XLA's CPU backend.

  The gradient of W contracts the leading axes, at a third of the speed where
  there are two of them; that of b is a sum over all tokens, which is slow in
  bfloat16 and loses digits.

  Args:
    axes: of W [inputs, outputs]; b has the second.
    dtype: of the matmul and of y; W and b are stored in float32.
    zero: start as the zero map, for corrections that begin without effect.
  """

  def __init__(
    self,
    inputs: int,
    outputs: int,
    axes: param.Axes,
    rngs: nnx.Rngs,
    *,
    dtype: Any,
    bias: bool = True,
    zero: bool = False,
  ):
    self.axes = axes
    self.dtype = jnp.dtype(dtype)
    start = _init.zeros if zero else _init.xavier_uniform()
    kernel = start(rngs.params(), (inputs, outputs), jnp.float32)
    self.kernel = param.Weight(kernel, axes=axes)
    self.bias = (
      param.Weight(jnp.zeros(outputs), axes=axes[1:]) if bias else None
    )

  def __call__(self, x: Float[Array, "*any D"]) -> Float[Array, "*any E"]:
    return self.ready()(x)

  def ready(self) -> Callable[[Array], Array]:
    """The map with its weights in place, for a loop that uses it each turn."""
    product = _product(self.kernel[...], self.axes, self.dtype)
    bias_E = (
      None if self.bias is None else placed(self.bias[...], self.axes[1:])
    )

    # Rows whose positions are split cannot be joined without gathering them.
    joined = not current().splits_positions

    def apply(x: Float[Array, "*any D"]) -> Float[Array, "*any E"]:
      flat = x.reshape(-1, x.shape[-1]) if joined else x
      y = product(flat.astype(self.dtype))
      if bias_E is not None:
        y = y.astype(jnp.float32) + jnp.expand_dims(bias_E, range(y.ndim - 1))
      return y.astype(self.dtype).reshape(*x.shape[:-1], -1)

    return apply


def _product(
  kernel_DE: Float[Array, "D E"], axes: param.Axes, dtype: Any
) -> Callable[[Array], Array]:
  """x → xW in a type.

  In a narrower one W is narrowed before devices send it to each other, and its
  gradient is made in float32, so that it is added up over devices in float32.
  """
  if dtype == kernel_DE.dtype:
    whole_DE = placed(kernel_DE, axes)
    return lambda x: x @ whole_DE
  narrow_DE = jax.lax.stop_gradient(
    current().used(kernel_DE.astype(dtype), axes)
  )
  kernel_DE = stored_gradient(kernel_DE, axes)
  return lambda x: _narrow_product(x, kernel_DE, narrow_DE)


@jax.custom_vjp
def _narrow_product(
  x: Float[Array, "*any D"],
  kernel_DE: Float[Array, "D E"],
  narrow_DE: Float[Array, "D E"],
) -> Float[Array, "*any E"]:
  """x times the narrow W; the gradient is that of the wide one."""
  del kernel_DE
  return x @ narrow_DE


def _forward(
  x: Array, kernel_DE: Array, narrow_DE: Array
) -> tuple[Array, tuple[Array, Array]]:
  del kernel_DE
  return x @ narrow_DE, (x, narrow_DE)


def _backward(
  kept: tuple[Array, Array], y: Array
) -> tuple[Array, Array, Array]:
  x, narrow_DE = kept
  tokens = tuple(range(x.ndim - 1))
  kernel_DE = jax.lax.dot_general(
    x, y, ((tokens, tokens), ((), ())), preferred_element_type=jnp.float32
  )
  return y @ narrow_DE.T, kernel_DE, jnp.zeros_like(narrow_DE)


_narrow_product.defvjp(_forward, _backward)
