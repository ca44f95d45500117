"""Which events train, and which are held-out questions."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Int64

from tagrec_jax.core.errors import UserError
from tagrec_jax.data.dataset import NO_TIME, Questions


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
  if (times == NO_TIME).any():
    raise UserError(
      "config.data.split",
      "found 'global_time' for events without times",
      "a time with every event",
      "use config.data.split='leave_one_out'",
    )
  people = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
  _check_ascending(times, people)
  is_test = times >= _cut(times, held_out_fraction, len(times))
  is_train = times < _cut(times[~is_test], held_out_fraction, len(times))
  is_valid = ~is_train & ~is_test
  counts = (is_train.sum(), is_valid.sum(), is_test.sum())
  if not counts[0] or (held_out_fraction and not counts[1]):
    raise UserError(
      "config.data.held_out_fraction",
      f"found {held_out_fraction}, which leaves {counts[0]} events to train,"
      f" {counts[1]} for valid and {counts[2]} for test",
      "some in each part",
      "lower it, or use config.data.split='leave_one_out'",
    )
  trained = np.bincount(people[is_train], minlength=len(offsets) - 1)
  return Split(
    offsets[:-1] + trained,
    valid=_questions(is_valid, people, trained),
    test=_questions(is_test, people, trained),
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
  keep: Bool[np.ndarray, " E"],
) -> tuple[Int64[np.ndarray, " P_plus_1"], Split]:
  """The offsets and the split of the events that are kept.

  Args:
    keep: for each event; those that are asked for must be.
  """
  before = np.concatenate([[0], np.cumsum(keep)]).astype(np.int64)

  def moved(questions: Questions) -> Questions:
    assert keep[questions.events].all(), "a question would lose its answer"
    return Questions(questions.people, before[questions.events])

  return before[offsets], Split(
    before[split.train_ends], moved(split.valid), moved(split.test)
  )


def _cut(times: np.ndarray, fraction: float, total: int) -> int:
  """The moment at which the last `fraction` · `total` events start."""
  if not fraction:
    return np.iinfo(np.int64).max
  if not len(times):
    return np.iinfo(np.int64).min
  kept = len(times) - max(1, round(fraction * total))
  return int(np.sort(times)[max(0, kept)])


def _questions(
  held_out: np.ndarray, people: np.ndarray, trained: np.ndarray
) -> Questions:
  events = np.flatnonzero(held_out & (trained[people] > 0))
  return Questions(people[events].astype(np.int32), events)


def _check_ascending(times: np.ndarray, people: np.ndarray) -> None:
  """Raises ValueError if a person's events are not in the order of time."""
  # Compared, not subtracted: a difference of two times may overflow.
  backwards = (times[1:] < times[:-1]) & (people[1:] == people[:-1])
  if backwards.any():
    event = int(np.argmax(backwards)) + 1
    raise ValueError(f"event {event} is older than the one before it")
