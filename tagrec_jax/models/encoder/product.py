"""Everything known of a product → the product vector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.data.spec import ID, Part, Spec
from tagrec_jax.layers import param
from tagrec_jax.layers.noise import Noise
from tagrec_jax.layers.tokens import Tokens
from tagrec_jax.models.encoder.fusion import SumFusion, TransformerFusion

MakeEncoder = Callable[..., nnx.Module]
"""(feature, settings, rngs) → a module: (values [N, ...], noise) → `Tokens`."""

CHUNK = 512
"""Products encoded at a time where nothing is trained."""


class ProductEncoder(nnx.Module):
  """Encodes each feature the config names and joins what they say.

  With 'id' alone this is the usual table of item embeddings; without 'id' a
  product is known only by its content, so one never seen has a vector too.

  Args:
    encoders: feature → how it is encoded.
  """

  def __init__(
    self,
    settings: ModelSettings,
    spec: Spec,
    encoders: Mapping[str, MakeEncoder],
    rngs: nnx.Rngs,
  ):
    self.rate = settings.modality_dropout
    self.table = (
      param.table(spec.num_items, settings.width, ("products", "embed"), rngs)
      if ID in settings.product
      else None
    )
    self.names = tuple(name for name in settings.product if name != ID)
    features = {f.name: f for f in spec.of(Part.PRODUCT)}
    self.content = nnx.List(
      [encoders[n](features[n], settings, rngs) for n in self.names]
    )
    self.fusion = (
      TransformerFusion(settings, len(settings.product), rngs)
      if settings.fusion == "transformer"
      else SumFusion()
    )

  @property
  def encoders(self) -> dict[str, nnx.Module]:
    """Feature → what encodes it."""
    return dict(zip(self.names, self.content, strict=True))

  def vectors(
    self, product: Mapping[str, Array], noise: Noise | None = None
  ) -> Float[Array, "C D"]:
    """The vectors of products, in the order of the arrays.

    Args:
      product: feature name → array [C, ...], as in `Dataset.product`. The rows
        of the table come first; products after them have no part of their own.
      noise: while training; None encodes a catalogue part after part.
    """
    inputs: dict[str, Any] = {name: product[name] for name in self.names}
    if self.table is not None:
      rows_CD = self.table[...]
      size = len(inputs[self.names[0]]) if self.names else len(rows_CD)
      new = ((0, size - len(rows_CD)), (0, 0))
      inputs[ID] = jnp.pad(rows_CD, new), jnp.arange(size) < len(rows_CD)
    if noise is not None or not self.names:
      return self._encode(inputs, noise)
    return _in_parts(lambda part: self._encode(part, None), inputs)

  def memory(
    self, product: Mapping[str, Array], noise: Noise | None = None
  ) -> tuple[Float[Array, "B D"], Tokens]:
    """The vectors of some products, and the tokens of all their features.

    Args:
      product: feature → array [B, ...]; without 'id'.
    """
    features = self._features({n: product[n] for n in self.names}, noise)
    tokens = Tokens(
      jnp.concatenate([f.values_NSD for f in features], axis=1),
      jnp.concatenate([f.there_NS for f in features], axis=1),
    )
    return self.fusion(features, noise), tokens

  def _encode(
    self, inputs: Mapping[str, Any], noise: Noise | None
  ) -> Float[Array, "C D"]:
    return self.fusion(self._features(inputs, noise), noise)

  def _features(
    self, inputs: Mapping[str, Any], noise: Noise | None
  ) -> list[Tokens]:
    features = []
    if ID in inputs:
      rows_CD, there_C = inputs[ID]
      features.append(Tokens(rows_CD[:, None], there_C[:, None]))
    for name, encoder in zip(self.names, self.content, strict=True):
      features.append(encoder(inputs[name], noise))
    if noise is not None and self.rate:
      features = [_missing_at_times(f, self.rate, noise) for f in features]
    return features


def _missing_at_times(feature: Tokens, rate: float, noise: Noise) -> Tokens:
  """The feature, of some products not there at all."""
  keep_N1 = noise.keep((feature.there_NS.shape[0], 1), rate)
  return Tokens(
    jnp.where(keep_N1[..., None], feature.values_NSD, 0.0),
    feature.there_NS & keep_N1,
  )


def _in_parts(
  encode: Callable[[Any], Array], inputs: Any
) -> Float[Array, "C D"]:
  """Encodes CHUNK products at a time: their tokens need much more memory."""
  size = len(jax.tree.leaves(inputs)[0])
  if size <= CHUNK:
    return encode(inputs)
  parts = -(-size // CHUNK)

  def split(x: Array) -> Array:
    fill = [(0, parts * CHUNK - size)] + [(0, 0)] * (x.ndim - 1)
    return jnp.pad(x, fill).reshape(parts, CHUNK, *x.shape[1:])

  vectors = jax.lax.map(encode, jax.tree.map(split, inputs))
  return vectors.reshape(parts * CHUNK, -1)[:size]
