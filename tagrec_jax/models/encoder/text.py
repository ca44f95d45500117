"""Words in their order."""

from __future__ import annotations

from flax import nnx
from jaxtyping import Array, Int

from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.data.spec import Feature
from tagrec_jax.layers import param
from tagrec_jax.layers.embed import lookup
from tagrec_jax.layers.noise import Noise
from tagrec_jax.layers.tokens import Tokens
from tagrec_jax.models.encoder.stack import TokenStack

_AXES: param.Axes = ("vocabulary", "embed")


class TransformerText(nnx.Module):
  """A small pre-norm transformer trained from scratch: one token a word."""

  def __init__(self, feature: Feature, settings: ModelSettings, rngs: nnx.Rngs):
    self.words = param.long_table(feature.size, settings.width, _AXES, rngs)
    self.stack = TokenStack(settings, feature.width, rngs)

  def __call__(self, values: Int[Array, "N S"], noise: Noise | None) -> Tokens:
    words_NSD = lookup(self.words[...], values, _AXES, ("rows",))
    return self.stack(words_NSD, values >= 0, noise)
