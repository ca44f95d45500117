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


class TransformerText(nnx.Module):
  """A small pre-norm transformer trained from scratch: one token a word."""

  def __init__(self, feature: Feature, settings: ModelSettings, rngs: nnx.Rngs):
    self.words = param.table(
      feature.size, settings.width, ("vocabulary", "embed"), rngs
    )
    self.stack = TokenStack(settings, feature.width, rngs)

  def __call__(self, values: Int[Array, "N S"], noise: Noise | None) -> Tokens:
    return self.stack(lookup(self.words[...], values), values >= 0, noise)
