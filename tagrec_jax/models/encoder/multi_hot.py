"""One dense layer over the multi-hot vector of a person's history."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.layers import param
from tagrec_jax.layers.attention import packed_causal_mask
from tagrec_jax.layers.noise import Noise, dropout
from tagrec_jax.layers.positions import pick


class MultiHotHistory(nnx.Module):
  """relu(W · multi-hot(history) + b): which products, in no order.

  The rows of W are the product vectors, so the product of W with the multi-hot
  vector is the sum of the vectors of the events so far.
  """

  def __init__(
    self, settings: ModelSettings, max_positions: int, rngs: nnx.Rngs
  ):
    del max_positions, rngs  # no order, nothing random
    self.rate = settings.dropout
    self.bias = param.zeros((settings.width,), ("embed",))

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
    del positions_BS
    mask_BTS = pick(packed_causal_mask(segments_BS), asked_BT)
    mask_BTS = mask_BTS.astype(x_BSD.dtype)
    total_BTD = jnp.einsum("BTS,BSD->BTD", mask_BTS, x_BSD)
    hidden_BTD = jax.nn.relu(total_BTD + self.bias[...][None, None])
    return dropout(hidden_BTD, self.rate, noise)
