from __future__ import annotations

import threading

import pytest

from tagrec_jax.training.prefetch import Prefetch


def test_batches_come_in_order():
  with Prefetch(lambda step: step * 10, 3, 8) as prefetch:
    assert [prefetch.take() for _ in range(5)] == [30, 40, 50, 60, 70]


def test_it_runs_ahead_but_not_far():
  made = []
  reached = threading.Event()

  def make(step):
    made.append(step)
    if step == 1:
      reached.set()
    return step

  with Prefetch(make, 0, 100, ahead=2) as prefetch:
    assert reached.wait(10)
    assert made == [0, 1]
    assert prefetch.take() == 0
  assert max(made) <= 2


def test_an_error_comes_when_its_batch_is_taken():
  def make(step):
    if step == 1:
      raise ValueError("bad row")
    return step

  with Prefetch(make, 0, 5) as prefetch:
    assert prefetch.take() == 0
    with pytest.raises(ValueError, match="bad row") as error:
      prefetch.take()
  assert error.value.__notes__ == ["while making the batch of step 1"]
