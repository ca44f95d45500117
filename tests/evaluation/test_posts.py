"""Posts: which tags are right, what was given before, and who is new."""

from __future__ import annotations

import numpy as np
import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.data.tag_counts import TagCounts
from tagrec_jax.evaluation import evaluate as evaluation
from tagrec_jax.evaluation import moments
from tagrec_jax.evaluation.entries import Entries

RULES = evaluation.Rules((1, 2), 50, seed=0, passport={"model": "given"})

# Tags 0 to 11 are of training, tag 12 is new. All are ranked by their row.
BATCH = {
  "question": np.array([1, 0, 2, -1], np.int32),
  "target_ids": np.array([0, 1, 5, -1], np.int32),
  "relevant_tags": np.array([[2, 0], [3, -1], [1, 12], [-1, -1]], np.int32),
  "history_lengths": np.array([3, 0, 1, 0], np.int32),
  "own": np.array([[0, 2], [1, 0], [-1, -1], [-1, -1]], np.int32),
  "of_product": np.array([[2], [3], [-1], [-1]], np.int32),
  "scores": np.tile(np.arange(12, 0, -1, dtype=np.float32), (4, 1)),
}


def meter(**changes):
  values = {
    "own": lambda batch: (batch["own"], None),
    "of_product": lambda batch: (batch["of_product"], None),
    "most": 3,
    "people": np.array([0, 1, 2]),
    "counts": TagCounts(6, np.array([5, 3, 2, 1] + [0] * 8)),
    "num_items": 5,
    "new_tags": 1,
    "trained": np.array([0, 4, 4]),
    **changes,
  }
  return evaluation.PostMeter(RULES, **values)


def ask(batches, **changes):
  return evaluation.evaluate(
    lambda batch: batch["scores"], batches, meter(**changes)
  )


def named(report, group):
  return {
    part.name: (part.people, part.values["recall@10"])
    for part in report.slices
    if part.group == group
  }


def test_hand_worked():
  report = ask([BATCH])
  # By question: tag 3 is fourth; 2 and 0 are third and first; 1 is second and
  # the new tag 12 is no candidate.
  ranks = [sorted(row) for row in report.ranks_PM.tolist()]
  assert ranks == [[0, 0, 4], [0, 1, 3], [0, 2, 13]]
  assert report.people == {"posts": 3, "unknown_tags": 1}
  got = report.metrics
  assert got["precision@2"] == pytest.approx((0 + 1 / 2 + 1 / 2) / 3)
  assert got["recall@2"] == pytest.approx((0 + 1 / 2 + 1 / 2) / 3)
  assert got["f1@2"] == pytest.approx((0 + 1 / 2 + 1 / 2) / 3)
  assert got["map@2"] == pytest.approx((0 + 1 / 2 + 1 / 4) / 3)
  assert got["mrr@2"] == pytest.approx((0 + 1 + 1 / 2) / 3)
  assert report.passport["relevant"].startswith("the tags that this person")
  assert report.passport["new tags"] == "out"
  assert report.passport["bootstrap"].endswith("resamples of posts, seed 0")


def test_f1_of_means_is_the_one_of_papers():
  got = ask([BATCH])
  precision, recall = got.metrics["precision@1"], got.metrics["recall@1"]
  assert (precision, recall) == (pytest.approx(1 / 3), pytest.approx(1 / 6))
  wanted = 2 * precision * recall / (precision + recall)
  assert got.metrics["f1_of_means@1"] == pytest.approx(wanted)
  # The mean of F1 is another number.
  assert got.metrics["f1@1"] == pytest.approx(2 / 3 / 3)
  low, high = got.intervals["f1_of_means@1"]
  assert 0 <= low < wanted < high <= 1


def test_a_person_of_several_posts_counts_once():
  """Questions 0 and 2 are of one person, 1 of another."""
  report = ask([BATCH], people=np.array([7, 3, 7]))
  assert report.metrics["recall@2"] == pytest.approx((1 / 2 + 1 / 4) / 2)
  assert report.metrics["map@2"] == pytest.approx((1 / 2 + 1 / 8) / 2)
  precision, recall = (1 + 0) / 2, (1 / 2 + 0) / 2
  assert report.metrics["f1_of_means@1"] == pytest.approx(
    2 * precision * recall / (precision + recall)
  )
  low, high = report.intervals["recall@2"]
  assert (low, high) == (pytest.approx(1 / 4), pytest.approx(1 / 2))
  assert report.people["posts"] == 3
  assert report.passport["average"].startswith("over people")
  assert report.passport["bootstrap"].endswith("resamples of people, seed 0")
  assert "average" not in ask([BATCH]).passport
  # What the moment is worth is told of the same people.
  gain = moments.gains(report, [ask([BATCH])], 50, 0)["recall@2"]
  assert gain.true == gain.shuffled == report.metrics["recall@2"]


def test_who_gave_a_tag_before():
  assert named(ask([BATCH]), "given before") == {
    "by the person, to the product": (1, 1.0),  # 2 of question 1
    "by the person alone": (1, 1.0),  # 0 of question 1
    "to the product alone": (1, 1.0),  # 3 of question 0
    "neither": (1, 1 / 2),  # 1 and 12 of question 2
  }


def test_new_products_people_and_tags():
  report = ask([BATCH])
  assert named(report, "target product") == {
    "trained": (2, 1.0),
    "cold": (1, 1 / 2),
  }
  assert named(report, "person") == {"trained": (2, 0.75), "cold": (1, 1.0)}
  assert named(report, "history length")["0"] == (1, 1.0)
  assert named(report, "tag popularity")["unseen"] == (1, 0.0)


def test_new_tags_compete_where_they_are_scored():
  scores = np.tile(np.arange(13, dtype=np.float32), (4, 1))
  report = ask([BATCH | {"scores": scores}])
  assert sorted(report.ranks_PM[2].tolist()) == [0, 1, 12]
  assert report.passport["new tags"] == "in"
  assert named(report, "tag popularity")["unseen, among these alone"] == (1, 1)


def test_batches_may_be_of_any_width_and_order():
  narrow = {
    name: array[1:2] if name != "relevant_tags" else array[1:2, :1]
    for name, array in BATCH.items()
  }
  wide = {name: array[[2, 0]] for name, array in BATCH.items()}
  wide["relevant_tags"] = np.pad(
    wide["relevant_tags"], ((0, 0), (0, 6)), constant_values=-1
  )
  first, second = ask([BATCH]), ask([wide, narrow])
  assert first.metrics == second.metrics
  assert first.slices == second.slices
  np.testing.assert_array_equal(first.ranks_PM, second.ranks_PM)


def test_lists_are_measured_where_entries_are_known():
  assert "novelty@2" not in ask([BATCH]).metrics
  counted = Entries(np.array([4, 2, 1, 1] + [0] * 9))
  report = ask([BATCH], entries=counted)
  # All lists are 0 and 1: one bit and two of them.
  assert report.metrics["novelty@2"] == pytest.approx(1.5)
  assert report.intervals["novelty@2"] == pytest.approx((1.5, 1.5))
  assert "diversity@2" not in report.metrics


def test_nothing_to_ask():
  batch = BATCH | {"question": np.full(4, -1, np.int32)}
  with pytest.raises(UserError, match="no item with tags to ask for"):
    ask([batch])
