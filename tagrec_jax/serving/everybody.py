"""Ranked lists for people of a data set by their rows, many at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.settings import Settings
from tagrec_jax.data.dataset import (
  NO_TIME,
  Dataset,
  Interactions,
  Questions,
)
from tagrec_jax.data.questions import question_batches
from tagrec_jax.decoding.tiles import rows_of, top_k

Lists = dict[str, tuple[np.ndarray, np.ndarray]]
"""target → ids int32 [P, K], padded by UNKNOWN, and scores float32 [P, K]."""


class Everybody:
  """Asks about people as `Recommender` asks about one that it knows.

  Args:
    scores: batch → target → `Rows` or scores [B, C], the model with its
      parameters.
    dataset, settings: of the run.
    targets: 'items', 'tags' or both. k: length of each list.
    exclude_seen: leave out what the history holds; never applies to tags.
  """

  def __init__(
    self,
    scores: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    dataset: Dataset,
    settings: Settings,
    *,
    targets: Sequence[str],
    k: int,
    exclude_seen: bool,
  ):
    self._scores, self._dataset = scores, dataset
    self._settings = settings
    self._targets, self._k = targets, k
    self._exclude_seen = exclude_seen

  def lists(self, first: int, last: int) -> Lists:
    """Those of the people first .. last, in order."""
    asked = _with_a_question(self._dataset, first, last)
    count = last - first
    events = asked.events.offsets[1:] - 1
    found: Lists = {
      target: (
        np.full((count, self._k), UNKNOWN, np.int32),
        np.full((count, self._k), -np.inf, np.float32),
      )
      for target in self._targets
    }
    evaluation = self._settings.evaluation
    for batch in question_batches(
      asked,
      Questions(np.arange(count, dtype=np.int32), events),
      self._settings.pipeline,
      batch_people=evaluation.batch_people,
      moment=self._settings.model.moment,
      person=self._settings.model.person,
    ):
      scores = self._scores(batch)
      there = batch["question"] >= 0
      for target, both in found.items():
        leaves_out = self._exclude_seen and target == "items"
        seen = batch["seen_ids"]
        best = top_k(
          rows_of(scores[target]),
          self._k,
          seen if leaves_out else seen[:, :0],
          evaluation.approximate_recall,
        )
        for kept, part in zip(both, best, strict=True):
          kept[batch["question"][there]] = np.asarray(part)[there]
    return found


def _with_a_question(dataset: Dataset, first: int, last: int) -> Dataset:
  """Some people, each with one more event, of which nothing is known."""
  events, offsets = dataset.events, dataset.events.offsets[first : last + 1]
  mine = slice(offsets[0], offsets[-1])
  ends = offsets[1:] - offsets[0]

  def asked(values: np.ndarray, what: int) -> np.ndarray:
    return np.insert(values[mine], ends, what)

  return dataclasses.replace(
    dataset,
    events=Interactions(
      offsets - offsets[0] + np.arange(len(offsets)),
      asked(events.items, UNKNOWN),
      asked(events.times, NO_TIME),
      moment={n: asked(v, UNKNOWN) for n, v in events.moment.items()},
    ),
    train_ends=ends + np.arange(len(ends)),
    person={n: v[first:last] for n, v in dataset.person.items()},
  )
