"""Shuffled moments, and the gain of the true ones."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tagrec_jax.evaluation import moments
from tagrec_jax.evaluation.report import Report


def make_batches():
  """Five questions in two batches, the last of which is filled up."""
  for numbers in ([3, 0, 4], [1, 2, -1]):
    question = np.array(numbers, np.int32)
    last = np.array([1, 0, 2], np.int32)
    hour = np.full((3, 4), -7, np.int32)
    hour[np.arange(3), last] = 10 + question
    yield {
      "question": question,
      "last": last,
      "history_ids": hour.copy(),
      "moment_hour": hour,
      "moment_gap": 2 * hour,
    }


def look(batch, name):
  rows = batch["question"] >= 0
  at_last = batch[name][np.arange(3), batch["last"]][rows]
  return dict(zip(batch["question"][rows].tolist(), at_last, strict=True))


def shuffled(seed):
  hours, gaps = {}, {}
  for batch, before in zip(
    moments.at_other_moments(make_batches, seed), make_batches(), strict=True
  ):
    hours |= look(batch, "moment_hour")
    gaps |= look(batch, "moment_gap")
    np.testing.assert_array_equal(batch["history_ids"], before["history_ids"])
    elsewhere = np.ones((3, 4), bool)
    elsewhere[np.arange(3), batch["last"]] = batch["question"] < 0
    np.testing.assert_array_equal(
      batch["moment_hour"][elsewhere], before["moment_hour"][elsewhere]
    )
  return hours, gaps


def test_moments_go_from_question_to_question_whole():
  hours, gaps = shuffled(0)
  assert sorted(hours.values()) == [10, 11, 12, 13, 14]
  assert any(hours[q] != 10 + q for q in hours)
  assert all(gaps[q] == 2 * hours[q] for q in hours)


def test_a_shuffle_follows_from_its_seed():
  assert shuffled(1) == shuffled(1)
  assert len({tuple(sorted(shuffled(s)[0].items())) for s in range(5)}) > 1


def report(ranks):
  ranks_PM = np.array(ranks)[:, None]
  recall = float((ranks_PM[:, 0] <= 2).mean())
  return Report(
    {"recall@2": recall, "coverage@2": 0.5}, {}, {}, (), {}, ranks_PM
  )


def test_gains_by_hand():
  true = report([1, 2, 3, 1] * 50)
  others = [report([3, 3, 3, 1] * 50), report([1, 3, 3, 1] * 50)]
  found = moments.gains(true, others, 500, 0)
  assert set(found) == {"recall@2"}
  gain = found["recall@2"]
  assert (gain.true, gain.shuffled) == (0.75, 0.375)
  assert gain.interval[0] < 0.375 < gain.interval[1]
  assert gain.interval[0] > 0.25
  (column,) = (
    list(c.cells) for c in moments.table(found, ["recall@2"]).columns[3:4]
  )
  assert column == ["+0.3750"]


def test_moments_that_do_not_matter_gain_nothing():
  true = report([1, 2, 3])
  gain = moments.gains(true, [true], 100, 0)["recall@2"]
  assert gain.interval == pytest.approx((0, 0))
  assert dataclasses.asdict(gain)["true"] == gain.true
