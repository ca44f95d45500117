"""What baselines fit on, and the two ways in which they answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse

from tagrec_jax.data.dataset import Dataset

Batch = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class TrainingEvents:
  """The events a baseline may learn from: training, known items, in order.

  Attributes:
    people: int64 [E]. items: int32 [E]. times: int64 [E], see `Interactions`.
    ages: int64 [E], how many training events the same person had later.
  """

  people: np.ndarray
  items: np.ndarray
  times: np.ndarray
  ages: np.ndarray


def training_events(dataset: Dataset) -> TrainingEvents:
  """Leaves out all at or after `train_ends`, and items not in training."""
  events = dataset.events
  people_E = np.repeat(
    np.arange(len(dataset.train_ends)), np.diff(events.offsets)
  )
  ages_E = dataset.train_ends[people_E] - 1 - np.arange(len(events.items))
  kept_E = (ages_E >= 0) & (events.items >= 0)
  kept_E &= events.items < dataset.spec.num_items
  return TrainingEvents(
    people_E[kept_E], events.items[kept_E], events.times[kept_E], ages_E[kept_E]
  )


def item_counts(dataset: Dataset) -> np.ndarray:
  """How many training events each item has, int64 [C]."""
  return np.bincount(
    training_events(dataset).items, minlength=dataset.spec.num_items
  )


def shares(weights_C: np.ndarray) -> np.ndarray:
  """Weights that sum to 1, float32; all 0 stays 0."""
  return (weights_C / max(weights_C.sum(), 1e-12)).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class SameForAll:
  """Gives all questions one list.

  Attributes:
    scores: float32 [C].
  """

  scores: np.ndarray

  def __call__(self, batch: Batch) -> np.ndarray:
    """Scores float32 [B, C], read-only."""
    questions = len(batch["question"])
    return np.broadcast_to(self.scores, (questions, len(self.scores)))


@dataclasses.dataclass(frozen=True)
class FromHistory:
  """Lets each event of a history vote, newer ones more.

  score(c) = mean over events i of votes[i, c] + doubt[i] · prior[c], where an
  event with `a` later ones weighs decay ** a. Without a known event the score
  is the prior.

  Attributes:
    votes: sparse float32 [items, C].
    doubt: float32 [items], how much of the prior an event lets in.
    prior: float32 [C].
    decay: 1 weighs all events alike, 0 hears only the newest.
  """

  votes: sparse.csr_array
  doubt: np.ndarray
  prior: np.ndarray
  decay: float

  def __call__(self, batch: Batch) -> np.ndarray:
    """Scores float32 [B, C] of batch['history_ids'] [B, S].

    Negative ids (padding, unknown items, the token that begins a history) and
    items that came after training have no vote.
    """
    weights_BI = self._weights(np.asarray(batch["history_ids"]))
    doubt_B = weights_BI @ self.doubt
    doubt_B[np.diff(weights_BI.indptr) == 0] = 1
    return (weights_BI @ self.votes).toarray() + np.outer(doubt_B, self.prior)

  def _weights(self, ids_BS: np.ndarray) -> sparse.csr_array:
    """Each person's events as weights on items; a row sums to 1."""
    known_BS = (ids_BS >= 0) & (ids_BS < len(self.doubt))
    later_BS = known_BS[:, ::-1].cumsum(axis=1)[:, ::-1] - known_BS
    weights_BS = known_BS * np.float32(self.decay) ** later_BS
    weights_BS /= np.maximum(weights_BS.sum(axis=1, keepdims=True), 1e-12)
    return sparse.csr_array(
      (
        weights_BS[known_BS].astype(np.float32),
        ids_BS[known_BS],
        np.append(0, known_BS.sum(axis=1).cumsum()),
      ),
      shape=(len(ids_BS), len(self.doubt)),
    )
