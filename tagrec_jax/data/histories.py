"""Clean events → people's histories, split, without what must not train."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool

from tagrec_jax.core.settings import DataSettings
from tagrec_jax.data.cold import ColdItems, cold_people
from tagrec_jax.data.event_log import EventLog
from tagrec_jax.data.splits import (
  Split,
  global_time,
  leave_one_out,
  leave_out,
  with_valid_trained,
)
from tagrec_jax.data.vocab import Vocabulary


@dataclasses.dataclass(frozen=True)
class Histories:
  """Events, person after person; which rows products have is not known yet.

  Attributes:
    people: ids ↔ rows.
    offsets: int64 [P + 1]; see `Interactions`.
    events: [E].
    times: int64 [E], seconds, or NO_TIME.
    split: of these events.
    counts: reason → what was left out or set aside.
  """

  people: Vocabulary
  offsets: np.ndarray
  events: EventLog
  times: np.ndarray
  split: Split
  counts: dict[str, int]

  @property
  def trains(self) -> Bool[np.ndarray, " E"]:
    return _trains(self.offsets, self.split)


def histories(
  events: EventLog, cold: ColdItems, settings: DataSettings
) -> Histories:
  """Splits clean events as if nothing were cold, then takes out what is.

  Of cold people no event trains, but the same are asked. Training events of
  cold products are left out; in what is held out they stay. With
  `train_on_valid`, what would be valid is training.
  """
  numbers = events.people
  known = np.unique(numbers)
  people = Vocabulary.sorted(events.people_ids[n] for n in known.tolist())
  row_of = np.zeros(len(events.people_ids), np.int32)
  row_of[known] = people.indices(events.people_ids[n] for n in known.tolist())
  rows = row_of[numbers]
  assert (np.diff(rows) >= 0).all(), "clean() sorts by person"
  lengths = np.bincount(rows, minlength=len(people))
  offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
  times = events.times
  split = _split(offsets, times, settings)
  if settings.train_on_valid:
    split = with_valid_trained(split)

  is_cold = cold_people(people.ids, settings.cold_people)
  ends = np.where(is_cold, offsets[:-1], split.train_ends)
  split = dataclasses.replace(split, train_ends=ends)
  left_out = _trains(offsets, split)
  is_cold_item = np.array([id in cold for id in events.item_ids], bool)
  if len(is_cold_item):
    left_out &= is_cold_item[events.items]
  offsets, split = leave_out(offsets, split, ~left_out)
  counts = {
    "people kept out of training": int(is_cold.sum()),
    "training events of products kept out of it": int(left_out.sum()),
  }
  kept = np.flatnonzero(~left_out)
  return Histories(
    people,
    offsets,
    events.take(kept),
    times[kept],
    split,
    {reason: n for reason, n in counts.items() if n},
  )


def _split(
  offsets: np.ndarray, times: np.ndarray, settings: DataSettings
) -> Split:
  if settings.split == "global_time" and len(times):
    return global_time(offsets, times, settings.held_out_fraction)
  return leave_one_out(offsets)


def _trains(offsets: np.ndarray, split: Split) -> np.ndarray:
  ends = np.repeat(split.train_ends, np.diff(offsets))
  return np.arange(len(ends)) < ends
