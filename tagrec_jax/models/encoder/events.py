"""The events of a history, as the history encoder reads them."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from tagrec_jax.core.axes import BEGIN, UNKNOWN
from tagrec_jax.layers import param
from tagrec_jax.layers.embed import lookup


class EventReader(nnx.Module):
  """The vectors of products, and two of tokens that are no product."""

  def __init__(self, width: int, rngs: nnx.Rngs):
    self.special = param.table(2, width, (None, "embed"), rngs)

  def __call__(
    self, vectors_CD: Float[Array, "C D"], ids_BS: Int[Array, "B S"]
  ) -> Float[Array, "B S D"]:
    """The vectors of a history's events, also of UNKNOWN and BEGIN.

    A product without a vector, being new and without content, is UNKNOWN.
    """
    ids_BS = jnp.where(ids_BS < len(vectors_CD), ids_BS, UNKNOWN)
    rows_BSD = lookup(vectors_CD, ids_BS, param.PRODUCTS)
    special_2D = self.special[...]
    for row, token in enumerate((UNKNOWN, BEGIN)):
      is_token = (ids_BS == token)[..., None]
      rows_BSD = jnp.where(is_token, special_2D[row][None, None], rows_BSD)
    return rows_BSD
