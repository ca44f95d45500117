"""What an encoder of one feature gives: tokens, some of which are not there."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Tokens:
  """S vectors for each of N products, tags or whatever is encoded.

  values_NSD is 0 where there_NS is False: at padding, and in all S places
  where the feature is missing.
  """

  values_NSD: Float[Array, "N S D"]
  there_NS: Bool[Array, "N S"]

  def mean(self) -> Float[Array, "N D"]:
    """Of those that are there; 0 where none is."""
    count_N = self.there_NS.sum(1, dtype=self.values_NSD.dtype)
    return self.values_NSD.sum(1) / jnp.maximum(count_N, 1)[:, None]
