"""Everything known of a product → the product vector."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from tagrec_jax.core.axes import BEGIN, UNKNOWN
from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.data.spec import ID, Feature, Kind, Part, Spec
from tagrec_jax.layers import param
from tagrec_jax.layers.embed import Bag, Classes, Numbers, lookup


def _embedder(
  feature: Feature, width: int, rngs: nnx.Rngs
) -> Callable[[Array], Array]:
  if feature.kind == Kind.NUMBER:
    return Numbers(feature.width, width, rngs)
  if feature.kind == Kind.CATEGORY:
    return Classes(feature.size, width, rngs)
  return Bag(feature.size, width, rngs)


class ProductEncoder(nnx.Module):
  """The sum of one vector for each feature the config names.

  With 'id' alone this is the usual table of item embeddings; without 'id' a
  product is known only by its content, so one never seen has a vector too.
  """

  def __init__(self, settings: ModelSettings, spec: Spec, rngs: nnx.Rngs):
    width = settings.width
    features = {f.name: f for f in spec.of(Part.PRODUCT)}
    self.table = (
      param.table(spec.num_items, width, ("products", "embed"), rngs)
      if ID in settings.product
      else None
    )
    self.content = nnx.Dict(
      {
        name: _embedder(features[name], width, rngs)
        for name in settings.product
        if name != ID
      }
    )
    # Two tokens that are no product: UNKNOWN and BEGIN.
    self.special = param.table(2, width, (None, "embed"), rngs)

  def vectors(self, product: Mapping[str, Array]) -> Float[Array, "C D"]:
    """The vectors of the catalogue, or of the rows that the parameters hold.

    Args:
      product: feature name → array [C, ...], as in `Dataset.product`.
    """
    parts = [] if self.table is None else [self.table[...]]
    parts += [embed(product[name]) for name, embed in self.content.items()]
    return sum(parts[1:], start=parts[0])

  def read(
    self, vectors_CD: Float[Array, "C D"], ids_BS: Int[Array, "B S"]
  ) -> Float[Array, "B S D"]:
    """The vectors of a history's events, also of UNKNOWN and BEGIN."""
    special_2D = self.special[...]
    rows_BSD = lookup(vectors_CD, ids_BS)
    for row, token in enumerate((UNKNOWN, BEGIN)):
      is_token = (ids_BS == token)[..., None]
      rows_BSD = jnp.where(is_token, special_2D[row][None, None], rows_BSD)
    return rows_BSD
