"""Negatives: catalogue entries drawn to stand for all the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from tagrec_jax.core.sums import Sum
from tagrec_jax.layers.embed import lookup
from tagrec_jax.layers.param import CATALOGUE, PRODUCTS
from tagrec_jax.layers.placing import current, stored
from tagrec_jax.objectives import tiles
from tagrec_jax.objectives.rows import Row
from tagrec_jax.objectives.scores import target_scores


@dataclasses.dataclass(frozen=True)
class Negatives:
  """Entries drawn once for all questions, in ascending order.

  Attributes:
    entries_K: distinct catalogue indices.
    weights_K: how many entries each one stands for; they add up to the
      catalogue.
  """

  entries_K: Int[Array, " K"]
  weights_K: Float[np.ndarray, " K"]

  @classmethod
  def draw(cls, key: Key[Array, ""], catalogue: int, number: int) -> Negatives:
    """Draws one entry from each of `number` equal slices of the catalogue.

    An entry stands for its slice: its weight is 1 / (the probability of being
    drawn). So a sum over the catalogue is estimated without bias by the
    weighted sum over the entries drawn. If as many are drawn as there are, the
    entries are the catalogue, each once.
    """
    number = min(number, catalogue)
    edges = np.arange(number + 1, dtype=np.int64) * catalogue // number
    first, stop = edges[:-1].astype(np.int32), edges[1:].astype(np.int32)
    entries_K = jax.random.randint(key, (number,), first, stop, jnp.int32)
    return cls(entries_K, (stop - first).astype(np.float32))

  def moved(self, place: Callable[[jax.Array], jax.Array]) -> Negatives:
    """The same entries where their indices are others, in the same order."""
    return Negatives(place(self.entries_K), self.weights_K)

  def columns(self, targets_BT: Int[Array, "B T"]) -> Int[Array, "B T"]:
    """Which of the entries is a question's target; -1 where none is."""
    column_BT = jnp.searchsorted(self.entries_K, targets_BT)
    column_BT = jnp.minimum(column_BT, self.entries_K.shape[0] - 1)
    drawn_BT = self.entries_K[column_BT] == targets_BT
    return jnp.where(drawn_BT, column_BT, -1).astype(jnp.int32)


def contest(
  row: Row,
  queries_BTD: Float[Array, "B T D"],
  vectors_CD: Float[Array, "C D"],
  bias_C: Float[Array, " C"],
  targets_BT: Int[Array, "B T"],
  drawn: Negatives,
  offset_K: Float[np.ndarray, " K"] | float = 0.0,
) -> Sum:
  """Σ row(scores of the negatives, score of the target) over all questions.

  Args:
    row: has to leave out a negative that is the target.
    offset_K: added to the scores of the negatives.
  """
  valid_BT = (targets_BT >= 0).astype(jnp.float32)
  total = tiles.total(
    row,
    queries_BTD,
    _vectors(vectors_CD, drawn.entries_K),
    bias_C[drawn.entries_K] + offset_K,
    target_scores(queries_BTD, vectors_CD, bias_C, targets_BT, PRODUCTS),
    valid_BT,
    column_BTM=drawn.columns(targets_BT)[..., None],
  )
  return Sum(total, jnp.sum(valid_BT))


def _vectors(
  vectors_CD: Float[Array, "C D"], entries_K: Int[Array, " K"]
) -> Float[Array, "K D"]:
  """Of the entries.

  Devices that share vectors share out the entries before they send each other
  the numbers of their own, and gradients go the same way back.
  """
  if not current().splits_tables:
    return vectors_CD[entries_K]
  vectors_KD = lookup(vectors_CD, entries_K, PRODUCTS, of=())
  return stored(stored(vectors_KD, (None, "embed")), CATALOGUE)
