"""BERT: a bidirectional transformer, its numbers those of the original.

Source: Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers,
2018. Post-norm, learned positions, vectors for types of text.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.data.spec import Feature
from tagrec_jax.layers import param
from tagrec_jax.layers.attention import SelfAttention
from tagrec_jax.layers.embed import lookup
from tagrec_jax.layers.mlp import MLP
from tagrec_jax.layers.noise import Noise, dropout
from tagrec_jax.layers.tokens import Tokens

_AXES: param.Axes = ("vocabulary", "embed")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BertConfig:
  """Sizes.

  Attributes:
    positions: rows of the table of positions.
    first_position: row of a text's first token; those before are not used.
    types: of texts, of which only the first is used; 0: no such table.
    activation: 'relu', 'gelu' (by tanh) or 'gelu_erf'.
    epsilon: of layer normalisation.
    rate: of dropout, under noise.
  """

  vocabulary: int
  width: int
  layers: int
  heads: int
  hidden: int
  positions: int
  first_position: int = 0
  types: int = 2
  activation: str = "gelu_erf"
  epsilon: float = 1e-12
  rate: float = 0.1


class BertBlock(nnx.Module):
  """Post-norm: norm(x + attention(x)), then norm(x + mlp(x))."""

  def __init__(self, config: BertConfig, rngs: nnx.Rngs, *, dtype: Any):
    width, epsilon = config.width, config.epsilon
    self.rate = config.rate
    self.attention = SelfAttention(
      width, config.heads, rngs, rotary=False, dtype=dtype
    )
    self.attention_norm = param.layer_norm(
      width, rngs, dtype=dtype, epsilon=epsilon
    )
    self.mlp = MLP(width, config.hidden, config.activation, rngs, dtype=dtype)
    self.mlp_norm = param.layer_norm(width, rngs, dtype=dtype, epsilon=epsilon)

  def __call__(
    self,
    x_NSD: Float[Array, "N S D"],
    mask_NTS: Bool[Array, "N S S"],
    positions_NS: Int[Array, "N S"],
    noise: Noise | None,
  ) -> Float[Array, "N S D"]:
    update = self.attention(x_NSD, mask_NTS, positions_NS)
    x_NSD = self.attention_norm(x_NSD + dropout(update, self.rate, noise))
    update = self.mlp(x_NSD)
    return self.mlp_norm(x_NSD + dropout(update, self.rate, noise))


class Bert(nnx.Module):
  """Ids of a text's tokens → the last layer's vectors."""

  def __init__(self, config: BertConfig, rngs: nnx.Rngs, *, dtype: Any):
    self.config = config
    self.dtype = jnp.dtype(dtype)
    width = config.width
    self.words = param.long_table(config.vocabulary, width, _AXES, rngs)
    self.positions = param.table(config.positions, width, (None, "embed"), rngs)
    self.types = (
      param.table(config.types, width, (None, "embed"), rngs)
      if config.types
      else None
    )
    self.norm = param.layer_norm(
      width, rngs, dtype=self.dtype, epsilon=config.epsilon
    )
    self.blocks = nnx.List(
      [BertBlock(config, rngs, dtype=dtype) for _ in range(config.layers)]
    )

  def __call__(self, ids_NS: Int[Array, "N S"], noise: Noise | None) -> Tokens:
    """Reads ids; -1 pads, only after a text's end."""
    size, length = ids_NS.shape
    there_NS = ids_NS >= 0
    first = self.config.first_position
    x_NSD = lookup(self.words[...], ids_NS, _AXES, ("rows",))
    x_NSD = x_NSD + self.positions[...][None, first : first + length]
    if self.types is not None:
      x_NSD = x_NSD + self.types[...][None, :1]
    x_NSD = self.norm(x_NSD.astype(self.dtype))
    x_NSD = dropout(x_NSD, self.config.rate, noise)
    mask_NTS = jnp.broadcast_to(there_NS[:, None], (size, length, length))
    positions_NS = jnp.broadcast_to(jnp.arange(length)[None], ids_NS.shape)
    for block in self.blocks:
      x_NSD = block(x_NSD, mask_NTS, positions_NS, noise)
    x_NSD = x_NSD.astype(jnp.float32)
    return Tokens(jnp.where(there_NS[..., None], x_NSD, 0.0), there_NS)


class BertText(nnx.Module):
  """A BERT of the model's own sizes, trained from scratch on words."""

  def __init__(self, feature: Feature, settings: ModelSettings, rngs: nnx.Rngs):
    config = BertConfig(
      vocabulary=feature.size,
      width=settings.width,
      layers=settings.layers,
      heads=settings.heads,
      hidden=settings.hidden,
      positions=feature.width,
      types=0,
      activation=settings.activation,
      epsilon=1e-6,
      rate=settings.dropout,
    )
    self.bert = Bert(config, rngs, dtype=settings.compute_dtype)

  def __call__(self, values: Int[Array, "N S"], noise: Noise | None) -> Tokens:
    return self.bert(values, noise)
