"""A gated linear recurrence that reads a history in linear time."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.layers import param
from tagrec_jax.layers.linear import Linear
from tagrec_jax.layers.mlp import MLP
from tagrec_jax.layers.noise import Noise, dropout
from tagrec_jax.layers.positions import pick
from tagrec_jax.layers.scan import linear_scan

_SHARPNESS = 8.0
_HALVES = (1.0, 64.0)
"""Events after which half of a state is forgotten at first, from the fastest
coordinate to the slowest."""
_LEAST = 1e-12


class GatedRecurrence(nnx.Module):
  """h = a ∘ h + sqrt(1 - a²) ∘ (i ∘ x), gates a and i made of x alone.

  As the gates do not read h, all positions are made at once (`linear_scan`).
  The factor of x keeps the size of h whatever a is.

  Source: RG-LRU, De et al. 2024, Griffin, eq. 1 to 4.
  """

  def __init__(self, width: int, rngs: nnx.Rngs, *, dtype: Any):
    self.inputs = Linear(
      width, 2 * width, ("embed", "hidden"), rngs, dtype=dtype
    )
    self.gates = Linear(
      width, 2 * width, ("embed", "hidden"), rngs, dtype=dtype
    )
    self.out = Linear(width, width, ("hidden", "embed"), rngs, dtype=dtype)
    halves = np.geomspace(*_HALVES, width)
    # The gate r is 1/2 at first, so a is exp(-sharpness · softplus / 2).
    rate = 2 * np.log(2) / halves / _SHARPNESS
    self.forget = param.of(np.log(np.expm1(rate)), ("hidden",))

  def __call__(
    self, x_BSD: Float[Array, "B S D"], positions_BS: Int[Array, "B S"]
  ) -> Float[Array, "B S D"]:
    """Where a position is 0 a new person starts from h = 0."""
    value_BSD, shown_BSD = jnp.split(self.inputs(x_BSD), 2, axis=-1)
    gates = jax.nn.sigmoid(self.gates(x_BSD).astype(jnp.float32))
    r_BSD, i_BSD = jnp.split(gates, 2, axis=-1)
    rate_D = _SHARPNESS * jax.nn.softplus(self.forget[...])
    log_a_BSD = -rate_D[None, None] * r_BSD
    # A gate may be shut so fast that a is 1: a root of 0 has no gradient.
    size_BSD = jnp.sqrt(jnp.maximum(-jnp.expm1(2 * log_a_BSD), _LEAST))
    begins_BS1 = (positions_BS == 0)[..., None]
    keep_BSD = jnp.where(begins_BS1, 0.0, jnp.exp(log_a_BSD))
    add_BSD = size_BSD * i_BSD * value_BSD.astype(jnp.float32)
    h_BSD = linear_scan(keep_BSD, add_BSD).astype(x_BSD.dtype)
    return self.out(h_BSD * jax.nn.gelu(shown_BSD))


class RecurrentBlock(nnx.Module):
  """Pre-norm: x + recurrence(norm(x)), then x + mlp(norm(x))."""

  def __init__(self, settings: ModelSettings, rngs: nnx.Rngs):
    width, dtype = settings.width, jnp.dtype(settings.compute_dtype)
    self.rate = settings.dropout
    self.norm = param.layer_norm(width, rngs, dtype=dtype)
    self.recurrence = GatedRecurrence(width, rngs, dtype=dtype)
    self.mlp_norm = param.layer_norm(width, rngs, dtype=dtype)
    self.mlp = MLP(
      width, settings.hidden, settings.activation, rngs, dtype=dtype
    )

  def __call__(
    self,
    x_BSD: Float[Array, "B S D"],
    positions_BS: Int[Array, "B S"],
    noise: Noise | None,
    asked_BT: Int[Array, "B T"] | None = None,
  ) -> Float[Array, "B T D"]:
    update = self.recurrence(self.norm(x_BSD), positions_BS)
    x_BTD = pick(x_BSD, asked_BT)
    x_BTD = x_BTD + dropout(pick(update, asked_BT), self.rate, noise)
    update = self.mlp(self.mlp_norm(x_BTD))
    return x_BTD + dropout(update, self.rate, noise)


class LinearHistory(nnx.Module):
  """History → interest at every position, in time linear in its length."""

  def __init__(
    self, settings: ModelSettings, max_positions: int, rngs: nnx.Rngs
  ):
    del max_positions  # order is in the recurrence
    self.rate = settings.dropout
    self.dtype = jnp.dtype(settings.compute_dtype)
    self.blocks = nnx.List(
      [RecurrentBlock(settings, rngs) for _ in range(settings.layers)]
    )
    self.norm = param.layer_norm(settings.width, rngs, dtype=self.dtype)

  def __call__(
    self,
    x_BSD: Float[Array, "B S D"],
    segments_BS: Int[Array, "B S"],
    positions_BS: Int[Array, "B S"],
    noise: Noise | None,
    asked_BT: Int[Array, "B T"] | None = None,
  ) -> Float[Array, "B T D"]:
    """The interest after each event, from it and the same person's earlier.

    Args:
      asked_BT: the only positions to answer for, None for all.
    """
    del segments_BS  # a segment starts where the position is 0
    x_BSD = dropout(x_BSD.astype(self.dtype), self.rate, noise)
    *blocks, last = self.blocks
    for block in blocks:
      x_BSD = block(x_BSD, positions_BS, noise)
    return self.norm(last(x_BSD, positions_BS, noise, asked_BT))
