"""Which events train, and which are held-out questions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from jaxtyping import Int64

from tagrec_jax.core.errors import UserError
from tagrec_jax.data.dataset import NO_TIME, Questions
from tagrec_jax.data.event_log import add_counts
from tagrec_jax.data.mapped import gathered
from tagrec_jax.data.spill import PART

_LATEST = np.iinfo(np.int64).max
_BINS = 2**16


@dataclasses.dataclass(frozen=True)
class Split:
  """Every event belongs to training, valid, test or none of them.

  Attributes:
    train_ends: int64 [P]; events offsets[p]:train_ends[p] are training.
    valid, test: questions, in the order of events.
  """

  train_ends: np.ndarray
  valid: Questions
  test: Questions


def leave_one_out(offsets: Int64[np.ndarray, " P_plus_1"]) -> Split:
  """Each person's last event is test, the last but one valid.

  A person with fewer than three events is training only: one with two would
  be asked about test with nothing learned of them.

  Args:
    offsets: the events of person p are offsets[p]:offsets[p + 1].
  """
  ends = offsets[1:]
  asked = np.flatnonzero(np.diff(offsets) >= 3)
  train_ends = ends.copy()
  train_ends[asked] -= 2
  people = asked.astype(np.int32)
  return Split(
    train_ends,
    valid=Questions(people, ends[asked] - 2),
    test=Questions(people, ends[asked] - 1),
  )


def global_time(
  offsets: Int64[np.ndarray, " P_plus_1"],
  times: Int64[np.ndarray, " E"],
  held_out_fraction: float,
) -> Split:
  """The last events of the whole data set are test, those before them valid.

  Two moments cut time for everyone: nothing that happened at or after the
  first one is trained on. Events of one second are never parted, they all go
  to the later side, so a part holds at least its fraction. Questions are asked
  of people with at least one training event; what others did is not used.

  Args:
    times: seconds, ascending within each person.
    held_out_fraction: of all events, for test and again for valid.

  Raises:
    UserError: if events have no times, or nothing is left for a part.
  """
  parts = [slice(at, at + PART) for at in range(0, len(times), PART)]
  if any((times[part] == NO_TIME).any() for part in parts):
    raise UserError(
      "config.data.split",
      "found 'global_time' for events without times",
      "a time with every event",
      "use config.data.split='leave_one_out'",
    )
  _check_ascending(times, offsets)
  first_test = _cut(times, _LATEST, held_out_fraction)
  first_valid = _cut(times, first_test, held_out_fraction)
  trained = np.zeros(len(offsets) - 1, np.int64)
  held_out = 0
  for part in parts:
    trains = times[part] < first_valid
    add_counts(trained, _people(offsets, part)[trains])
    held_out += int((times[part] >= first_test).sum())
  train = int(trained.sum())
  counts = (train, len(times) - train - held_out, held_out)
  if not counts[0] or (held_out_fraction and not counts[1]):
    raise UserError(
      "config.data.held_out_fraction",
      f"found {held_out_fraction}, which leaves {counts[0]} events to train,"
      f" {counts[1]} for valid and {counts[2]} for test",
      "some in each part",
      "lower it, or use config.data.split='leave_one_out'",
    )

  def questions(begin: int, end: int) -> Questions:
    """About events in these seconds."""

    def asked() -> Iterator[tuple[np.ndarray, np.ndarray]]:
      for part in parts:
        inside = (times[part] >= begin) & (times[part] < end)
        people = _people(offsets, part)
        events = np.flatnonzero(inside & (trained[people] > 0))
        yield people[events], part.start + events

    return Questions(
      gathered((people for people, _ in asked()), np.int32),
      gathered((events for _, events in asked()), np.int64),
    )

  return Split(
    offsets[:-1] + trained,
    valid=questions(first_valid, first_test),
    test=questions(first_test, _LATEST),
  )


def with_valid_trained(split: Split) -> Split:
  """Training goes on to where test begins; nothing is asked of valid.

  Questions of valid are the events that follow those of training.
  """
  asked = np.bincount(split.valid.people, minlength=len(split.train_ends))
  nothing = Questions(split.valid.people[:0], split.valid.events[:0])
  return Split(split.train_ends + asked, valid=nothing, test=split.test)


def leave_out(
  offsets: Int64[np.ndarray, " P_plus_1"],
  split: Split,
  counts: Int64[np.ndarray, " P"],
) -> tuple[Int64[np.ndarray, " P_plus_1"], Split]:
  """The offsets and the split without some events of training.

  Args:
    counts: how many of each person's.
  """
  assert (counts <= split.train_ends - offsets[:-1]).all()
  gone = np.cumsum(counts)

  def moved(questions: Questions) -> Questions:
    return Questions(
      questions.people, questions.events - gone[questions.people]
    )

  return offsets - np.append(0, gone), Split(
    split.train_ends - gone, moved(split.valid), moved(split.test)
  )


def _people(
  offsets: Int64[np.ndarray, " P_plus_1"], part: slice
) -> Int64[np.ndarray, " N"]:
  """The people of the events of a part, which may end behind the last one."""
  events = np.arange(part.start, min(part.stop, offsets[-1]))
  return np.searchsorted(offsets, events, side="right") - 1


def _cut(times: Int64[np.ndarray, " E"], before: int, fraction: float) -> int:
  """The moment at which the last `fraction` of all events starts.

  Args:
    before: events at this moment and later are not looked at, but count.
  """
  if not fraction:
    return before
  parts = [times[at : at + PART] for at in range(0, len(times), PART)]
  left = sum(int((part < before).sum()) for part in parts)
  if not left:
    return np.iinfo(np.int64).min
  kept = max(0, left - max(1, round(fraction * len(times))))
  low = min(int(part.min()) for part in parts)
  high = min(before - 1, max(int(part.max()) for part in parts))
  # The time that `kept` others are before: times are counted, not sorted, in
  # ever narrower bins.
  while low < high:
    width = (high - low) // _BINS + 1
    counts = np.zeros(_BINS, np.int64)
    for part in parts:
      inside = part[(part >= low) & (part <= high)]
      add_counts(counts, (inside - low) // width)
    ends = np.cumsum(counts)
    found = int(np.searchsorted(ends, kept, side="right"))
    kept -= int(ends[found] - counts[found])
    low += found * width
    high = min(high, low + width - 1)
  return low


def _check_ascending(
  times: Int64[np.ndarray, " E"], offsets: Int64[np.ndarray, " P_plus_1"]
) -> None:
  """Raises ValueError if a person's events are not in the order of time."""
  for at in range(0, len(times), PART):
    part = slice(max(at - 1, 0), at + PART)
    here, people = times[part], _people(offsets, part)
    # Compared, not subtracted: a difference of two times may overflow.
    backwards = (here[1:] < here[:-1]) & (people[1:] == people[:-1])
    if backwards.any():
      event = part.start + int(np.argmax(backwards)) + 1
      raise ValueError(f"event {event} is older than the one before it")
