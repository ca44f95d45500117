"""The encoder-decoder for one product: its content in, its tags out."""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.data.spec import Spec
from tagrec_jax.layers import param
from tagrec_jax.layers.mlp import MLP
from tagrec_jax.layers.noise import Noise, dropout
from tagrec_jax.models.decoder.ranking import Entries, Query, RankingDecoder
from tagrec_jax.models.decoder.tags import tag_catalogue
from tagrec_jax.models.encoder.product import MakeEncoder, ProductEncoder


class Head(nnx.Module):
  """Residual feed-forward layers between a product and the question for tags.

  The product vector is brought to one size first, so that what it says itself
  is not drowned by the layers: x + mlp(x), then x + mlp(norm(x)).
  """

  def __init__(self, settings: ModelSettings, rngs: nnx.Rngs):
    width, dtype = settings.width, jnp.dtype(settings.compute_dtype)
    self.rate = settings.dropout
    self.norms = nnx.List(
      [
        param.layer_norm(width, rngs, dtype=dtype)
        for _ in range(settings.layers)
      ]
    )
    self.mlps = nnx.List(
      [
        MLP(width, settings.hidden, settings.activation, rngs, dtype=dtype)
        for _ in range(settings.layers)
      ]
    )

  def __call__(
    self, x_BTD: Float[Array, "B T D"], noise: Noise | None
  ) -> Float[Array, "B T D"]:
    first, *norms = self.norms
    x_BTD = first(x_BTD)
    x_BTD = x_BTD + dropout(self.mlps[0](x_BTD), self.rate, noise)
    for norm, mlp in zip(norms, self.mlps[1:], strict=True):
      x_BTD = x_BTD + dropout(mlp(norm(x_BTD)), self.rate, noise)
    return dropout(x_BTD, self.rate, noise)


class Tagger(nnx.Module):
  """Product encoder, head, tag decoder.

  Args:
    settings: of the model; `product` without 'id': what is asked about is new.
    spec: of the data set.
    encoders: feature of products → how it is encoded.
    prior: [T] where the scores of tags start: their log odds in training.
  """

  def __init__(
    self,
    settings: ModelSettings,
    spec: Spec,
    *,
    encoders: Mapping[str, MakeEncoder],
    prior: np.ndarray,
    rngs: nnx.Rngs,
  ):
    self.products = ProductEncoder(settings, spec, encoders, rngs)
    self.head = Head(settings, rngs)
    self.tags = RankingDecoder(
      settings,
      tag_catalogue(settings, spec, self.products.encoders, rngs, prior),
    )

  def __call__(
    self,
    product: Mapping[str, Array],
    entries: Entries,
    noise: Noise | None = None,
  ) -> Query:
    """One question a product, T = 1.

    Args:
      product: feature → array [B, ...].
      entries: of `tags`.
    """
    return self.tags(self.read(product, noise)[:, None], entries)

  def read(
    self, product: Mapping[str, Array], noise: Noise | None = None
  ) -> Float[Array, "B D"]:
    """What is known of products, as tags are asked with it."""
    vectors_BD = self.products.vectors(product, noise, of_batch=True)
    return self.head(vectors_BD[:, None], noise)[:, 0]
