"""Clean events → people's histories, split, without what must not train."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool

from tagrec_jax.core.settings import DataSettings
from tagrec_jax.data.cold import ColdItems, cold_people
from tagrec_jax.data.event_log import EventLog, add_counts
from tagrec_jax.data.spill import Spill
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
    events: [E]; people have their rows for numbers.
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

  def parts(self) -> Iterator[tuple[np.ndarray, Bool[np.ndarray, " N"]]]:
    """Some events after others, and which of them train."""
    return _parts(self.events, self.split)


def histories(
  events: EventLog, cold: ColdItems, settings: DataSettings
) -> Histories:
  """Splits clean events as if nothing were cold, then takes out what is.

  Of cold people no event trains, but the same are asked. Training events of
  cold products are left out; in what is held out they stay. With
  `train_on_valid`, what would be valid is training.
  """
  lengths = np.zeros(len(events.people), np.int64)
  for rows in events.parts():
    add_counts(lengths, rows["person"])
  assert lengths.all(), "clean() gives numbers to those who are left"
  offsets = np.append(0, np.cumsum(lengths))
  times = _times(events)
  split = _split(offsets, times, settings)
  if settings.train_on_valid:
    split = with_valid_trained(split)
  people = Vocabulary.of_letters(events.people.letters())
  is_cold = cold_people(people.ids, settings.cold_people)
  ends = np.where(is_cold, offsets[:-1], split.train_ends)
  split = dataclasses.replace(split, train_ends=ends)
  left_out = np.zeros(len(people), np.int64)
  if settings.cold_items:
    events, left_out = _without(events, split, cold)
    times = _times(events)
    offsets, split = leave_out(offsets, split, left_out)
  counts = {
    "people kept out of training": int(is_cold.sum()),
    "training events of products kept out of it": int(left_out.sum()),
  }
  return Histories(
    people,
    offsets,
    events,
    times,
    split,
    {reason: n for reason, n in counts.items() if n},
  )


def _without(
  events: EventLog, split: Split, cold: ColdItems
) -> tuple[EventLog, np.ndarray]:
  """Leaves out training events of cold products; how many of each person."""
  is_cold = np.array([id in cold for id in events.items.ids.to_pylist()], bool)
  kept = events.like(events.people)
  counts = np.zeros(len(events.people), np.int64)
  for rows, trains in _parts(events, split):
    left_out = trains & is_cold[rows["item"]]
    add_counts(counts, rows["person"][left_out])
    kept.append_rows(rows[~left_out])
  return kept, counts


def _parts(
  events: EventLog, split: Split
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  begin = 0
  for rows in events.parts():
    places = np.arange(begin, begin + len(rows))
    yield rows, places < split.train_ends[rows["person"]]
    begin += len(rows)


def _times(events: EventLog) -> np.ndarray:
  times = Spill(np.int64, events.folder)
  for rows in events.parts():
    times.append(rows["time"])
  return times.array()


def _split(
  offsets: np.ndarray, times: np.ndarray, settings: DataSettings
) -> Split:
  if settings.split == "global_time" and len(times):
    return global_time(offsets, times, settings.held_out_fraction)
  return leave_one_out(offsets)
