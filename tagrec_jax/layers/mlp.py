"""Feed-forward layers."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from tagrec_jax.layers.linear import Linear


class MLP(nnx.Module):
  """Two linear maps with a non-linearity between.

  `activation` is 'relu', 'gelu' (by tanh), 'gelu_erf' (exact), or 'swiglu'
  (Shazeer 2020), whose first map makes twice the width: a value and its gate.
  """

  def __init__(
    self,
    width: int,
    hidden: int,
    activation: str,
    rngs: nnx.Rngs,
    *,
    dtype: Any,
  ):
    self.activation = activation
    inner = 2 * hidden if activation == "swiglu" else hidden
    self.up = Linear(width, inner, ("embed", "hidden"), rngs, dtype=dtype)
    self.down = Linear(hidden, width, ("hidden", "embed"), rngs, dtype=dtype)

  def __call__(self, x: Float[Array, "B S D"]) -> Float[Array, "B S D"]:
    up = self.up(x)
    if self.activation == "swiglu":
      gate, value = jnp.split(up, 2, axis=-1)
      return self.down(jax.nn.silu(gate) * value)
    if self.activation == "relu":
      return self.down(jax.nn.relu(up))
    exact = self.activation == "gelu_erf"
    return self.down(jax.nn.gelu(up, approximate=not exact))
