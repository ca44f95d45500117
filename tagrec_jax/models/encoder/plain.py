"""Features that are one vector: classes, sets of classes, words, numbers."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.data.spec import Feature
from tagrec_jax.layers.embed import Bag, Bins, Classes, Numbers
from tagrec_jax.layers.noise import Noise
from tagrec_jax.layers.tokens import Tokens


def _one(x_ND: Float[Array, "N D"], there_N: Bool[Array, " N"]) -> Tokens:
  return Tokens(x_ND[:, None], there_N[:, None])


class CategoryVector(nnx.Module):
  """A vector for each class."""

  number_by_number = True

  def __init__(self, feature: Feature, settings: ModelSettings, rngs: nnx.Rngs):
    self.embed = Classes(feature.size, settings.width, rngs, "content")

  def __call__(
    self, values_N: Int[Array, " N"], noise: Noise | None = None
  ) -> Tokens:
    del noise
    return _one(self.embed(values_N, of=()), values_N >= 0)


class SetVector(nnx.Module):
  """What the members of a set, or words, add up to, whatever their order.

  Members that came after training, such as new tags, are left out.
  """

  number_by_number = True

  def __init__(self, feature: Feature, settings: ModelSettings, rngs: nnx.Rngs):
    self.size = feature.size
    self.embed = Bag(feature.size, settings.width, rngs, "content")

  def __call__(
    self, values_NM: Int[Array, "N M"], noise: Noise | None = None
  ) -> Tokens:
    del noise
    known_NM = jnp.where(values_NM < self.size, values_NM, -1)
    return _one(self.embed(known_NM, of=()), (known_NM >= 0).any(-1))


class NumbersVector(nnx.Module):
  """A line and a curve for each number of a product, added up."""

  def __init__(self, feature: Feature, settings: ModelSettings, rngs: nnx.Rngs):
    self.lines = Numbers(feature.width, settings.width, rngs)
    self.curves = Bins(feature.width, settings.width, rngs, "content")

  def __call__(
    self, values_NM: Float[Array, "N M"], noise: Noise | None = None
  ) -> Tokens:
    del noise
    there_N = ~jnp.isnan(values_NM).all(-1)
    x_ND = self.lines(values_NM) + self.curves(values_NM)
    # A product without any number has no vector, not one of missing numbers.
    return _one(jnp.where(there_N[:, None], x_ND, 0.0), there_N)
