"""A transformer that reads a person's history."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.layers import param
from tagrec_jax.layers.attention import packed_causal_mask, packed_mask
from tagrec_jax.layers.embed import lookup
from tagrec_jax.layers.noise import Noise, dropout
from tagrec_jax.layers.placing import spread
from tagrec_jax.models.encoder.blocks import make_blocks


class TransformerHistory(nnx.Module):
  """History → interest at every position (SASRec: Kang & McAuley 2018).

  Args:
    both_sides: whether a position reads later events as well as earlier ones
      (BERT4Rec: Sun et al. 2019).

  Attributes:
    attends: it has attention, to which a bias may be added.
  """

  attends = True

  def __init__(
    self,
    settings: ModelSettings,
    max_positions: int,
    rngs: nnx.Rngs,
    *,
    both_sides: bool = False,
  ):
    self.both_sides = both_sides
    self.rate = settings.dropout
    self.dtype = jnp.dtype(settings.compute_dtype)
    self.positions = (
      param.table(max_positions, settings.width, (None, "embed"), rngs)
      if settings.positions == "learned"
      else None
    )
    self.blocks = make_blocks(settings, settings.layers, rngs, of_rows=True)
    self.norm = param.layer_norm(settings.width, rngs, dtype=self.dtype)

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

    With both sides, from all of the person's.

    Args:
      asked_BT: the only positions to answer for, None for all: the last block
        leaves out the others, which is a third of the work of two blocks.
      bias_BNTS: of attention, at all positions, see `AttentionAges`.
    """
    if self.positions is not None:
      x_BSD = x_BSD + lookup(self.positions[...], positions_BS)
    x_BSD = dropout(x_BSD.astype(self.dtype), self.rate, noise)
    mask = packed_mask if self.both_sides else packed_causal_mask
    # Where positions are split, each device asks for its own; the keys and
    # values of a whole row are brought to it.
    x_BSD = spread(x_BSD, ("rows", "positions", None))
    mask_BTS = spread(mask(segments_BS), ("rows", "positions", None))
    x_BTD = self.blocks(
      x_BSD, mask_BTS, positions_BS, noise, asked_BT, bias_BNTS
    )
    return self.norm(x_BTD)
