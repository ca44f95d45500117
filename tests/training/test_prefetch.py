from __future__ import annotations

import threading

import pytest

from tagrec_jax.training.prefetch import Prefetch


def calls(first, last):
  """One step in each."""
  return [range(step, step + 1) for step in range(first, last)]


def test_batches_come_in_order():
  wanted = [(range(3, 5), "[30, 40]"), (range(5, 8), "[50, 60, 70]")]
  with Prefetch(lambda step: step * 10, str, [c for c, _ in wanted]) as ahead:
    assert [ahead.take(), ahead.take()] == wanted


def test_it_runs_ahead_but_not_far():
  made = []
  reached = threading.Event()

  def make(step):
    made.append(step)
    if step == 1:
      reached.set()
    return step

  with Prefetch(make, sum, calls(0, 100), ahead=2) as prefetch:
    assert reached.wait(10)
    assert made == [0, 1]
    assert prefetch.take() == (range(1), 0)
  assert max(made) <= 2


def test_it_tells_whether_taking_would_wait():
  go = threading.Event()
  with Prefetch(lambda _: go.wait(10), sum, calls(0, 1)) as prefetch:
    assert not prefetch.ready
    go.set()
    prefetch.take()
  with Prefetch(lambda step: step, sum, calls(0, 2)) as prefetch:
    prefetch.take()
    prefetch._thread.shutdown()
    assert prefetch.ready


def test_an_error_comes_when_its_batch_is_taken():
  def make(step):
    if step == 1:
      raise ValueError("bad row")
    return step

  with Prefetch(make, sum, calls(0, 5)) as prefetch:
    assert prefetch.take() == (range(1), 0)
    with pytest.raises(ValueError, match="bad row") as error:
      prefetch.take()
  assert error.value.__notes__ == ["while making the batch of step 1"]
