"""What a person likes in general, and what they are after now."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.layers import param
from tagrec_jax.layers.attention import packed_causal_mask
from tagrec_jax.layers.embed import lookup
from tagrec_jax.layers.linear import Linear
from tagrec_jax.layers.mlp import MLP
from tagrec_jax.layers.noise import Noise, dropout
from tagrec_jax.layers.positions import pick
from tagrec_jax.layers.scan import linear_scan
from tagrec_jax.models.encoder.blocks import make_blocks


class LongShortHistory(nnx.Module):
  """gate ∘ long + (1 - gate) ∘ short, at every position.

  Long is made of the mean of the whole history, whatever its order; short of
  attention among the newest events alone. The gate reads both.

  Source: the gated fusion is that of SHAN and SLi-Rec (Yu et al. 2019, eq. 14),
  with other encoders below it.

  Attributes:
    attends: it has attention, to which a bias may be added.
  """

  attends = True

  def __init__(
    self, settings: ModelSettings, max_positions: int, rngs: nnx.Rngs
  ):
    width = settings.width
    self.rate = settings.dropout
    self.recent = settings.recent_events
    self.dtype = jnp.dtype(settings.compute_dtype)
    self.positions = (
      param.table(max_positions, width, (None, "embed"), rngs)
      if settings.positions == "learned"
      else None
    )
    self.blocks = make_blocks(settings, settings.layers, rngs)
    self.mean_norm = param.layer_norm(width, rngs, dtype=self.dtype)
    self.long = MLP(
      width, settings.hidden, settings.activation, rngs, dtype=self.dtype
    )
    self.long_norm = param.layer_norm(width, rngs, dtype=self.dtype)
    self.short_norm = param.layer_norm(width, rngs, dtype=self.dtype)
    self.gate = Linear(
      2 * width, width, ("embed", None), rngs, dtype=self.dtype
    )

  def __call__(
    self,
    x_BSD: Float[Array, "B S D"],
    segments_BS: Int[Array, "B S"],
    positions_BS: Int[Array, "B S"],
    noise: Noise | None,
    asked_BT: Int[Array, "B T"] | None = None,
    bias_BNTS: Float[Array, "B N S S"] | None = None,
  ) -> Float[Array, "B T D"]:
    """The interest after each event, from it and the same person's earlier.

    Args:
      asked_BT: the only positions to answer for, None for all.
      bias_BNTS: of attention, at all positions, see `AttentionAges`.
    """
    mean_BTD = pick(_mean(x_BSD, positions_BS), asked_BT).astype(self.dtype)
    long_BTD = self.mean_norm(dropout(mean_BTD, self.rate, noise))
    long_BTD = long_BTD + dropout(self.long(long_BTD), self.rate, noise)
    if self.positions is not None:
      x_BSD = x_BSD + lookup(self.positions[...], positions_BS)
    x_BSD = dropout(x_BSD.astype(self.dtype), self.rate, noise)
    age_BTS = positions_BS[:, :, None] - positions_BS[:, None, :]
    mask_BTS = packed_causal_mask(segments_BS) & (age_BTS < self.recent)
    short_BTD = self.blocks(
      x_BSD, mask_BTS, positions_BS, noise, asked_BT, bias_BNTS
    )
    long_BTD, short_BTD = self.long_norm(long_BTD), self.short_norm(short_BTD)
    gate_BTD = jax.nn.sigmoid(
      self.gate(jnp.concatenate([long_BTD, short_BTD], axis=-1))
    )
    return gate_BTD * long_BTD + (1 - gate_BTD) * short_BTD


def _mean(
  x_BSD: Float[Array, "B S D"], positions_BS: Int[Array, "B S"]
) -> Float[Array, "B S D"]:
  """Of each event and the same person's earlier ones."""
  later_BS1 = (positions_BS > 0)[..., None].astype(x_BSD.dtype)
  keep_BSD = jnp.broadcast_to(later_BS1, x_BSD.shape)
  return linear_scan(keep_BSD, x_BSD) / (positions_BS + 1)[..., None]
