from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagrec_jax.core.errors import UserError
from tagrec_jax.data import splits
from tagrec_jax.data.dataset import NO_TIME
from tagrec_jax.data.splits import (
  Split,
  global_time,
  leave_one_out,
  leave_out,
)


def offsets_of(*lengths: int) -> np.ndarray:
  return np.cumsum([0, *lengths]).astype(np.int64)


def lists(split: Split) -> tuple:
  return (
    split.train_ends.tolist(),
    list(zip(split.valid.people, split.valid.events, strict=True)),
    list(zip(split.test.people, split.test.events, strict=True)),
  )


def check_invariants(split: Split, offsets: np.ndarray) -> None:
  """What must hold of every split."""
  starts, ends = offsets[:-1], offsets[1:]
  assert split.train_ends.dtype == np.int64
  assert (starts <= split.train_ends).all()
  assert (split.train_ends <= ends).all()
  for questions in (split.valid, split.test):
    assert questions.people.dtype == np.int32
    assert questions.events.dtype == np.int64
    # Each is its person's, after the training events, and in order.
    assert (starts[questions.people] <= questions.events).all()
    assert (questions.events < ends[questions.people]).all()
    assert (questions.events >= split.train_ends[questions.people]).all()
    assert (np.diff(questions.events) > 0).all()
    # Each has something to read that was trained on.
    assert (split.train_ends > starts)[questions.people].all()
  assert not set(split.valid.events.tolist()) & set(split.test.events.tolist())


def test_leave_one_out_by_hand():
  split = leave_one_out(offsets_of(4, 2, 3, 0, 1))
  assert lists(split) == (
    [2, 6, 7, 9, 10],
    [(0, 2), (2, 7)],
    [(0, 3), (2, 8)],
  )


@given(st.lists(st.integers(0, 6), max_size=8))
def test_leave_one_out_uses_every_event_once(lengths):
  offsets = offsets_of(*lengths)
  split = leave_one_out(offsets)
  check_invariants(split, offsets)
  used = [
    *split.valid.events,
    *split.test.events,
    *(
      e
      for start, end in zip(offsets, split.train_ends, strict=False)
      for e in range(start, end)
    ),
  ]
  assert sorted(used) == list(range(offsets[-1]))


def test_global_time_by_hand():
  # Ten events; a fifth of them for each part: test from 9, valid from 7.
  offsets = offsets_of(4, 4, 2)
  times = np.array([1, 2, 7, 9, 3, 4, 5, 10, 6, 8])
  assert lists(global_time(offsets, times, 0.2)) == (
    [2, 7, 9],
    [(0, 2), (2, 9)],
    [(0, 3), (1, 7)],
  )


def test_global_time_keeps_a_second_together():
  # The last event shares its second with the two before it: all are test. So
  # valid is what was before them, and its own second is not parted either.
  times = np.array([1, 2, 3, 3, 4, 4, 4])
  assert lists(global_time(offsets_of(7), times, 1 / 7)) == (
    [2],
    [(0, 2), (0, 3)],
    [(0, 4), (0, 5), (0, 6)],
  )


def test_global_time_asks_nobody_who_did_not_train():
  # Person 1 starts when valid does.
  times = np.array([1, 2, 3, 4, 5, 6, 7, 9, 8, 10])
  assert lists(global_time(offsets_of(8, 2), times, 0.2)) == (
    [6, 8],
    [(0, 6)],
    [(0, 7)],
  )


def test_global_time_may_hold_out_nothing():
  assert lists(global_time(offsets_of(2), np.array([1, 2]), 0.0)) == (
    [2],
    [],
    [],
  )


@given(
  st.lists(st.lists(st.integers(-20, 20), max_size=8), max_size=6),
  st.floats(0, 0.9),
)
def test_global_time_never_trains_on_what_is_later(histories, fraction):
  offsets = offsets_of(*map(len, histories))
  times = np.array([t for h in histories for t in sorted(h)], np.int64)
  try:
    split = global_time(offsets, times, fraction)
  except UserError:
    return
  check_invariants(split, offsets)
  trained = [
    t
    for start, end in zip(offsets, split.train_ends, strict=False)
    for t in times[start:end]
  ]
  valid, test = times[split.valid.events], times[split.test.events]
  if len(valid):
    assert max(trained) < min(valid)
  if len(test):
    assert max(trained) < min(test)
  if len(valid) and len(test):
    assert max(valid) < min(test)
  # At least the fraction is held out, by whoever it was done.
  assert len(times) - len(trained) >= 2 * round(fraction * len(times))


def test_global_time_needs_times():
  with pytest.raises(UserError, match=r"without times.*Fix: use .*leave_one_"):
    global_time(offsets_of(2), np.array([5, NO_TIME]), 0.1)


@pytest.mark.parametrize(
  ("times", "fraction"),
  [
    ([1, 2, 3, 4], 0.5),  # nothing to train on
    ([5, 5, 5, 5], 0.25),  # one second: all of it would be test
    ([1, 2, 2, 2], 0.25),  # test takes three, valid the one that is left
    ([], 0.1),
  ],
)
def test_global_time_with_an_empty_part(times, fraction):
  with pytest.raises(UserError, match="held_out_fraction"):
    global_time(offsets_of(len(times)), np.array(times, np.int64), fraction)


def test_global_time_wants_each_history_in_order():
  with pytest.raises(ValueError, match="event 1 is older"):
    global_time(offsets_of(2), np.array([2, 1]), 0.1)


@given(
  st.lists(st.integers(0, 4_102_444_799) | st.integers(5, 7), min_size=1),
  st.floats(0.01, 0.4),
)
def test_global_time_cuts_where_sorted_times_would(times, fraction):
  by_time = np.sort(np.array(times))
  held_out = max(1, round(fraction * len(times)))
  first_test = by_time[max(0, len(times) - held_out)]
  before = by_time[by_time < first_test]
  first_valid = before[max(0, len(before) - held_out)] if len(before) else 0
  counts = [
    int((by_time < first_valid).sum()),
    int(((by_time >= first_valid) & (by_time < first_test)).sum()),
    int((by_time >= first_test).sum()),
  ]
  offsets = offsets_of(len(times))
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(splits, "_BINS", 4)
    patch.setattr(splits, "PART", 3)
    if not all(counts[:2]):
      with pytest.raises(UserError):
        global_time(offsets, by_time, fraction)
      return
    split = global_time(offsets, by_time, fraction)
  found = [int(split.train_ends[0]), len(split.valid.events)]
  assert [*found, len(split.test.events)] == counts


def test_leave_out_by_hand():
  offsets = np.array([0, 4, 4, 8])
  split = leave_one_out(offsets)
  left, moved = leave_out(offsets, split, np.array([1, 0, 1]))
  np.testing.assert_array_equal(left, [0, 3, 3, 6])
  np.testing.assert_array_equal(moved.train_ends, [1, 3, 4])
  np.testing.assert_array_equal(moved.valid.events, [1, 4])
  np.testing.assert_array_equal(moved.test.events, [2, 5])
  np.testing.assert_array_equal(moved.test.people, [0, 2])
  with pytest.raises(AssertionError):
    leave_out(offsets, split, np.array([0, 0, 3]))
