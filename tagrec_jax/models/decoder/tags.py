"""Vectors of tags: learned for each, made of the tag's own text, or both."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.data.spec import Part, Spec
from tagrec_jax.layers import param
from tagrec_jax.layers.linear import Linear
from tagrec_jax.layers.noise import Noise
from tagrec_jax.models.decoder.ranking import (
  Catalogue,
  Entries,
  OwnCatalogue,
  query_map,
)


class TagCatalogue(nnx.Module):
  """vector = σ(gate) · learned + W · text, bias = learned + w · text + common.

  Tags that came after training have no learned part. While training, tags at
  times have none either (`tag_dropout`), so that their text learns to serve
  without it and the common bias becomes that of a tag about which nothing else
  is known.

  Args:
    size: tags of training, T.
    encoders: feature of tags → what encodes it; may be those of products.
    prior, mapped: see `tag_catalogue`.
  """

  def __init__(
    self,
    settings: ModelSettings,
    size: int,
    encoders: Mapping[str, nnx.Module],
    rngs: nnx.Rngs,
    prior: np.ndarray | None = None,
    *,
    mapped: bool = True,
  ):
    width = settings.width
    self.rate = settings.tag_dropout
    self.map = query_map(settings, rngs) if mapped else None
    self.names = tuple(encoders)
    self.encoders = nnx.List(list(encoders.values()))
    self.norm = param.layer_norm(width, rngs, dtype=jnp.float32)
    self.text = _start_at_zero(width, width, rngs)
    self.lean = _start_at_zero(width, 1, rngs)
    learned = settings.tag_vectors == "both"
    self.table = (
      param.table(size, width, ("vocabulary", "embed"), rngs)
      if learned
      else None
    )
    self.gate = param.zeros((size,), ("vocabulary",)) if learned else None
    prior = np.zeros(size) if prior is None else prior
    self.bias = param.of(prior - prior.mean(), ("vocabulary",))
    self.common = param.of(prior.mean(keepdims=True), (None,))

  def ask(self, memory_BTD: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
    return self.map(memory_BTD) if self.map else memory_BTD

  def entries(
    self, content: Mapping[str, Array], noise: Noise | None
  ) -> Entries:
    """Vectors and biases of tags, in the order of the arrays.

    Args:
      content: feature → array [C, ...], as in `Dataset.tag`: tags of training
        first, then any number of new ones.
    """
    text_CD = self._text(content, noise)
    vectors_CD = self.text(text_CD)
    size, new = len(self.bias[...]), len(vectors_CD) - len(self.bias[...])
    keep_T = self._keep(size, noise)
    bias_T = jnp.where(keep_T, self.bias[...], 0.0)
    bias_C = jnp.pad(bias_T, (0, new)) + self.common[...]
    bias_C = bias_C + self.lean(text_CD)[:, 0]
    if self.table is None or self.gate is None:
      return Entries(vectors_CD, bias_C)
    gate_T = jnp.where(keep_T, jax.nn.sigmoid(self.gate[...]), 0.0)
    learned_TD = gate_T[:, None] * self.table[...]
    return Entries(vectors_CD + jnp.pad(learned_TD, ((0, new), (0, 0))), bias_C)

  def _text(
    self, content: Mapping[str, Array], noise: Noise | None
  ) -> Float[Array, "C D"]:
    """What the content of tags says, each of one size.

    Steps of Adam move all weights of a map alike, so that scores would leap;
    divided by D, what maps it moves them no faster than a table of vectors.
    """
    vectors = [
      encoder(content[name], noise).mean().astype(jnp.float32)
      for name, encoder in zip(self.names, self.encoders, strict=True)
    ]
    text_CD = self.norm(sum(vectors[1:], start=vectors[0]))
    return text_CD / text_CD.shape[1]

  def _keep(self, size: int, noise: Noise | None) -> Bool[Array, " T"]:
    """Which tags of training have their learned part."""
    if noise is None or not self.rate:
      return jnp.ones(size, bool)
    return noise.keep((size,), self.rate)


def _start_at_zero(inputs: int, outputs: int, rngs: nnx.Rngs) -> Linear:
  return Linear(
    inputs, outputs, ("embed", None), rngs, dtype=jnp.float32, zero=True
  )


def tag_catalogue(
  settings: ModelSettings,
  spec: Spec,
  encoders: Mapping[str, nnx.Module],
  rngs: nnx.Rngs,
  prior: np.ndarray | None = None,
  *,
  mapped: bool = True,
) -> Catalogue:
  """The catalogue of tags that the settings choose.

  Args:
    encoders: feature of products → what encodes it. Tags have features of the
      same names, and share the encoders.
    prior: [T] where the biases of tags start; None for 0.
    mapped: False where the memory itself asks, without a map to a query.

  Raises:
    UserError: if tags should be made of text, but no encoder reads any.
  """
  if settings.tag_vectors == "learned":
    return OwnCatalogue(
      settings, spec.num_tags, "vocabulary", rngs, prior, mapped=mapped
    )
  known = [feature.name for feature in spec.of(Part.TAG)]
  shared = {n: encoder for n, encoder in encoders.items() if n in known}
  if not shared:
    raise UserError(
      "config.model.tag_vectors",
      f"found '{settings.tag_vectors}', but the model reads none of what the"
      f" data set knows of tags: {', '.join(known) or 'nothing'}",
      "a feature of tags in config.model.product",
      "name one there, or set config.model.tag_vectors='learned'",
    )
  return TagCatalogue(
    settings, spec.num_tags, shared, rngs, prior, mapped=mapped
  )
