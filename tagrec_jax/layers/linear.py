"""Linear maps with named axes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from tagrec_jax.layers import param

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
    self.dtype = dtype
    start = _init.zeros if zero else _init.xavier_uniform()
    kernel = start(rngs.params(), (inputs, outputs), jnp.float32)
    self.kernel = nnx.Param(kernel, axes=axes)
    self.bias = param.zeros((outputs,), axes[1:]) if bias else None

  def __call__(self, x: Float[Array, "*any D"]) -> Float[Array, "*any E"]:
    x_ND = x.reshape(-1, x.shape[-1]).astype(self.dtype)
    y_NE = x_ND @ self.kernel[...].astype(self.dtype)
    if self.bias is not None:
      y_NE = y_NE.astype(jnp.float32) + self.bias[...][None]
    return y_NE.astype(self.dtype).reshape(*x.shape[:-1], -1)
