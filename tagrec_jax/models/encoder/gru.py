"""A gated recurrent network that reads a person's history."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.layers import param
from tagrec_jax.layers.linear import Linear
from tagrec_jax.layers.noise import Noise, dropout
from tagrec_jax.layers.positions import pick


class GRULayer(nnx.Module):
  """One layer of gated recurrent units (Cho et al. 2014).

  z = σ(Wz x + Uz h), r = σ(Wr x + Ur h), n = tanh(Wn x + r ∘ (Un h + b)),
  h' = (1 - z) ∘ n + z ∘ h. The products with x are made for all positions at
  once; only those with h wait for their turn.
  """

  def __init__(self, width: int, rngs: nnx.Rngs, *, dtype: Any):
    self.width = width
    self.inputs = Linear(
      width, 3 * width, ("embed", "hidden"), rngs, dtype=dtype
    )
    self.recurrent = Linear(
      width, 3 * width, ("embed", "hidden"), rngs, dtype=dtype
    )

  def __call__(
    self, x_BSD: Float[Array, "B S D"], positions_BS: Int[Array, "B S"]
  ) -> Float[Array, "B S D"]:
    """Every state h; where a position is 0 a new person starts from h = 0."""
    recurrent = self.recurrent.ready()

    def advance(h_BD, step):
      x_B3D, position_B = step
      h_BD = jnp.where((position_B > 0)[:, None], h_BD, 0.0)
      xz, xr, xn = jnp.split(x_B3D, 3, axis=-1)
      hz, hr, hn = jnp.split(recurrent(h_BD), 3, axis=-1)
      z, r = jax.nn.sigmoid(xz + hz), jax.nn.sigmoid(xr + hr)
      h_BD = (1 - z) * jnp.tanh(xn + r * hn) + z * h_BD
      return h_BD, h_BD

    steps = (self.inputs(x_BSD).swapaxes(0, 1), positions_BS.swapaxes(0, 1))
    start = jnp.zeros((x_BSD.shape[0], self.width), x_BSD.dtype)
    _, h_SBD = jax.lax.scan(advance, start, steps)
    return h_SBD.swapaxes(0, 1)


class GRUHistory(nnx.Module):
  """History → interest at every position (GRU4Rec: Hidasi et al. 2016)."""

  def __init__(
    self, settings: ModelSettings, max_positions: int, rngs: nnx.Rngs
  ):
    del max_positions  # order is in the recurrence
    self.rate = settings.dropout
    self.dtype = jnp.dtype(settings.compute_dtype)
    self.layers = nnx.List(
      [
        GRULayer(settings.width, rngs, dtype=self.dtype)
        for _ in range(settings.layers)
      ]
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
    for layer in self.layers:
      x_BSD = dropout(layer(x_BSD, positions_BS), self.rate, noise)
    return self.norm(pick(x_BSD, asked_BT))
