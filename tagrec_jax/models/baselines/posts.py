"""How baselines answer what tags a person gives a product, from counts.

Batches are those of data/posts.py with one array more: `events` int64 [B], the
event asked about, UNKNOWN for rows that only fill up. With it a baseline looks
back on all earlier posts of the person, however many a model would read.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy import sparse

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.data.dataset import NO_TIME, Dataset
from tagrec_jax.data.questions import padded_lists
from tagrec_jax.models.baselines.scorers import Batch

_TIES = np.float32(1e-5)
"""ε: less than what one assignment more makes of a score."""


class Asked:
  """Who and what is asked about.

  Args:
    dataset: whose events are asked about.
  """

  def __init__(self, dataset: Dataset):
    self._offsets = dataset.events.offsets
    self._num_items = dataset.spec.num_items

  def people(self, batch: Batch) -> np.ndarray:
    """Rows of people int64 [B]; UNKNOWN in rows that fill up."""
    events_B = np.asarray(batch["events"])
    # A person without events has the offset of the next one.
    people_B = np.searchsorted(self._offsets, events_B, side="right") - 1
    return np.where(events_B < 0, UNKNOWN, people_B)

  def products(self, batch: Batch) -> np.ndarray:
    """Rows of products int32 [B]; UNKNOWN for those not of training."""
    ids_B = np.asarray(batch["target_ids"])
    return np.where(ids_B < self._num_items, ids_B, UNKNOWN)


class EarlierTags:
  """The tags a person gave before the post asked about."""

  def __init__(self, dataset: Dataset):
    self._asked = Asked(dataset)
    self._given = dataset.assignments
    self._times = dataset.events.times
    if (self._times == NO_TIME).any():
      # Only the order is known: each event counts as a second.
      self._times = np.arange(len(self._times))

  def __call__(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Tags int32 and their ages in seconds float32, both [B, H].

    The oldest first, padded by UNKNOWN and 1. An age is at least 1.
    """
    given = self._given
    people_B = self._asked.people(batch)
    event_B = np.maximum(np.asarray(batch["events"]), 0)
    last_B = given.posts[event_B]
    first_B = np.where(people_B < 0, last_B, given.offsets[people_B])
    places_BH = padded_lists(
      np.arange(len(given.tags)), first_B, last_B, len(event_B)
    )
    if not len(given.tags):
      return places_BH, np.ones(places_BH.shape, np.float32)
    times_BH = self._times[given.events[places_BH]]
    ages_BH = np.maximum(self._times[event_B][:, None] - times_BH, 1)
    return (
      np.where(places_BH < 0, UNKNOWN, given.tags[places_BH]),
      np.where(places_BH < 0, 1, ages_BH).astype(np.float32),
    )


class CountedTags:
  """The tags that a product was given in training, and how often.

  Attributes:
    counts_CT: float64 [C, T].
  """

  def __init__(self, dataset: Dataset):
    self._asked = Asked(dataset)
    given = dataset.assignments
    kept = given.trains
    counts_CT = sparse.csr_array(
      (np.ones(kept.sum()), (given.items[kept], given.tags[kept])),
      shape=(dataset.spec.num_items, dataset.spec.num_tags),
    )
    counts_CT.sum_duplicates()
    self.counts_CT = counts_CT
    self._tags, self._offsets = counts_CT.indices, counts_CT.indptr
    # One more, for what is padding.
    self._counts = np.append(counts_CT.data, 0).astype(np.float32)

  def __call__(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Tags int32 and counts float32, [B, G], padded by UNKNOWN and 0."""
    products_B = self._asked.products(batch)
    first_B = self._offsets[products_B]
    last_B = np.where(
      products_B < 0, first_B, self._offsets[np.maximum(products_B, 0) + 1]
    )
    places_BG = padded_lists(
      np.arange(len(self._tags)), first_B, last_B, len(products_B)
    )
    tags = np.append(self._tags, UNKNOWN).astype(np.int32)
    return tags[places_BG], self._counts[places_BG]


@dataclasses.dataclass(frozen=True)
class OwnAndProducts:
  """A mixture of the person's own tags and of those of the product.

  score(t) = w · own(t) + (1 - w) · product(t) + ε · people(t), where own(t) is
  the share of a tag in the sum over earlier assignments of age^-decay,
  product(t) that in the assignments of the product, and people(t) the share of
  people who gave the tag to anything.

  Most tags of a product were given once, so most of a list is ties, and what
  decides them is worth 10 % of F1@5. The last term does: on the valid posts of
  HetRec MovieLens, core 3, it gives the product's tags alone .1695, chance
  .158, the number of assignments instead of people .1546.

  Attributes:
    earlier, counted: of people and of products.
    ties_T: float32, ε · people(t).
    weight: w, 0 to 1.
    decay: 0 counts all assignments alike.
  """

  earlier: EarlierTags
  counted: CountedTags
  ties_T: np.ndarray
  weight: float
  decay: float

  @classmethod
  def of(
    cls, dataset: Dataset, weight: float, decay: float = 0.0
  ) -> OwnAndProducts:
    return cls(
      EarlierTags(dataset),
      CountedTags(dataset),
      _TIES * _people_share(dataset),
      weight,
      decay,
    )

  def __call__(self, batch: Batch) -> Array:
    """Scores float32 [B, T]."""
    tags_BH, ages_BH = self.earlier(batch)
    tags_BG, counts_BG = self.counted(batch)
    size = len(self.ties_T)
    own_BT = shares(tags_BH, ages_BH**-self.decay, size)
    product_BT = shares(tags_BG, counts_BG, size)
    return mixed(own_BT, product_BT, self.weight) + self.ties_T[None]


def _people_share(dataset: Dataset) -> np.ndarray:
  """How many people gave each tag in training, of those of the most, [T]."""
  given = dataset.assignments
  pairs = np.stack([given.people[given.trains], given.tags[given.trains]])
  people_T = np.bincount(
    np.unique(pairs, axis=1)[1], minlength=dataset.spec.num_tags
  )
  return (people_T / max(people_T.max(initial=0), 1)).astype(np.float32)


@jax.jit
def mixed(
  first_BT: Float[Array, "B C"],
  second_BT: Float[Array, "B C"],
  weight: float | Float[Array, ""],
) -> Float[Array, "B C"]:
  """weight · first + (1 - weight) · second."""
  return weight * first_BT + (1 - weight) * second_BT


@functools.partial(jax.jit, static_argnames="size")
def shares(
  ids_BH: Int[Array, "B H"], weights_BH: Float[Array, "B H"], size: int
) -> Float[Array, "B C"]:
  """The share of each of `size` entries in the weights of its row.

  Ids outside of the entries (padding, new ones) count nothing; a row without
  any other is all 0.
  """
  rows_B1 = jnp.arange(ids_BH.shape[0])[:, None]
  columns_BH = jnp.where(ids_BH < 0, size, ids_BH)
  sums_BC = jnp.zeros((ids_BH.shape[0], size), jnp.float32)
  sums_BC = sums_BC.at[rows_B1, columns_BH].add(weights_BH, mode="drop")
  total_B1 = sums_BC.sum(axis=1, keepdims=True)
  return sums_BC / jnp.where(total_B1 > 0, total_B1, 1)
