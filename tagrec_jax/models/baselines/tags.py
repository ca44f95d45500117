"""Tags guessed from how often they were given, to all or by one person."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import sparse

from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.tag_counts import TagCounts
from tagrec_jax.models.baselines import scorers


def tags_of_items(dataset: Dataset) -> sparse.csr_array:
  """1 where an item of training has a tag of training, float32 [C, T]."""
  spec = dataset.spec
  tags_CM = dataset.product["tags"][: spec.num_items]
  items_E, places_E = np.nonzero((tags_CM >= 0) & (tags_CM < spec.num_tags))
  has_CT = sparse.csr_array(
    (
      np.ones(len(items_E), np.float32),
      (items_E, tags_CM[items_E, places_E]),
    ),
    shape=(len(tags_CM), spec.num_tags),
  )
  has_CT.sum_duplicates()
  has_CT.data[:] = 1  # a tag listed twice counts once
  return has_CT


@dataclasses.dataclass(frozen=True)
class TagPopularity:
  """Scores a tag by its share of the tags of all items taken in training."""

  def fit(self, dataset: Dataset) -> scorers.SameForAll:
    counts_T = scorers.item_counts(dataset) @ tags_of_items(dataset)
    return scorers.SameForAll(scorers.shares(counts_T))


@dataclasses.dataclass(frozen=True)
class ProductTagPopularity:
  """Scores a tag by its share of the tags of all products of training.

  Tags that came after training score 0.
  """

  @classmethod
  def suits(cls, dataset: Dataset) -> bool:
    """Whether the data set has what it needs."""
    return dataset.spec.num_tags > 0

  def fit(self, dataset: Dataset) -> scorers.SameForAll:
    counts = TagCounts.of(dataset).with_new(dataset.spec.num_new_tags)
    return scorers.SameForAll(scorers.shares(counts.of_tag))


@dataclasses.dataclass(frozen=True)
class PersonTagPopularity:
  """Scores a tag by its frequency in the person's own history.

  Attributes:
    decay: weight of each event relative to the one after it.
    doubt: weight of the popularity of tags among everybody.

  The values are a compromise, chosen by eye from a small grid on the valid
  splits of Beauty, LastFM and MovieLens. On Steam `TagPopularity` is better.
  """

  decay: float = 0.95
  doubt: float = 5.0

  def fit(self, dataset: Dataset) -> scorers.FromHistory:
    return scorers.FromHistory(
      tags_of_items(dataset),
      np.full(dataset.spec.num_items, self.doubt, np.float32),
      TagPopularity().fit(dataset).scores,
      self.decay,
    )
