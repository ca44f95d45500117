"""The most frequent items for everybody: what any model has to beat."""

from __future__ import annotations

import dataclasses

import numpy as np

from tagrec_jax.data.dataset import NO_TIME, Dataset
from tagrec_jax.models.baselines import scorers

_DAY = 86400.0  # seconds


@dataclasses.dataclass(frozen=True)
class Popularity:
  """Scores an item by its share of training events."""

  def fit(self, dataset: Dataset) -> scorers.SameForAll:
    return scorers.SameForAll(scorers.shares(scorers.item_counts(dataset)))


@dataclasses.dataclass(frozen=True)
class RecentPopularity:
  """The same, old events counting less.

  Attributes:
    half_life_days: an event this much older than the newest training event
      counts half.
    half_life_events: used where the data set has only order: an event after
      which its person had this many more counts half.

  The values are a compromise, chosen by eye on the valid splits: days on
  MovieLens and Steam, events on Beauty and LastFM.
  """

  half_life_days: float = 365.0
  half_life_events: float = 3.0

  def fit(self, dataset: Dataset) -> scorers.SameForAll:
    events = scorers.training_events(dataset)
    if (events.times == NO_TIME).any():
      half_lives_E = events.ages / self.half_life_events
    else:
      newest = events.times.max(initial=0)
      half_lives_E = (newest - events.times) / (self.half_life_days * _DAY)
    weights_C = np.bincount(
      events.items, 0.5**half_lives_E, minlength=dataset.spec.num_items
    )
    return scorers.SameForAll(scorers.shares(weights_C))
