"""The moment and the person correct the interest read from the history."""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.data.spec import Part, Spec, batch_key
from tagrec_jax.layers.embed import Classes
from tagrec_jax.layers.linear import Linear
from tagrec_jax.layers.noise import Noise
from tagrec_jax.layers.positions import pick


class ContextCorrection(nnx.Module):
  """interest ∘ (1 + scale(context)) + shift(context).

  Source: FiLM, Perez et al. 2018, eq. 2. Scale and shift start at zero: an
  untrained context changes nothing, and a context that is missing altogether
  leaves what the history says.
  """

  def __init__(self, settings: ModelSettings, spec: Spec, rngs: nnx.Rngs):
    width = settings.width
    self.rate = settings.context_dropout
    wanted = {Part.MOMENT: settings.moment, Part.PERSON: settings.person}
    self.classes = nnx.Dict(
      {
        batch_key(part, feature.name): Classes(feature.size, width, rngs)
        for part, names in wanted.items()
        for feature in spec.of(part)
        if feature.name in names
      }
    )
    self.film = Linear(
      width,
      2 * width,
      ("embed", None),
      rngs,
      dtype=jnp.dtype(settings.compute_dtype),
      bias=False,
      zero=True,
    )

  def __call__(
    self,
    interest_BTD: Float[Array, "B T D"],
    batch: Mapping[str, Int[Array, "..."]],
    noise: Noise | None,
    asked_BT: Int[Array, "B T"] | None = None,
  ) -> Float[Array, "B T D"]:
    vectors = [
      embed(pick(batch[key], asked_BT)) for key, embed in self.classes.items()
    ]
    if not vectors:
      return interest_BTD
    context_BTD = sum(vectors[1:], start=vectors[0])
    if noise is not None:
      # Whole contexts go missing, as they do when a question has no moment.
      keep = noise.keep((*context_BTD.shape[:2], 1), self.rate)
      context_BTD = jnp.where(keep, context_BTD, 0.0)
    scale_BTD, shift_BTD = jnp.split(self.film(context_BTD), 2, axis=-1)
    return interest_BTD * (1 + scale_BTD) + shift_BTD
