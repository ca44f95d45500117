"""What training never saw: products, people and tags, each told apart."""

from __future__ import annotations

import numpy as np
import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.data.tag_counts import TagCounts
from tagrec_jax.evaluation import evaluate as evaluation
from tagrec_jax.evaluation import protocols, table
from tagrec_jax.evaluation.calibrate import Calibration

RULES = evaluation.Rules((1, 2), 50, seed=0, passport={"model": "given"})


def measure(meter, batch, scores):
  return evaluation.evaluate(
    lambda _: np.asarray(scores, np.float32), [batch], meter
  )


def named(report, group):
  return {
    part.name: (part.people, part.values["recall@10"])
    for part in report.slices
    if part.group == group
  }


PEOPLE = {
  "question": np.arange(3, dtype=np.int32),
  "target_ids": np.array([1, 3, 3], np.int32),  # 3 is new
  "seen_ids": np.full((3, 1), -1, np.int32),
  "history_lengths": np.array([0, 1, 2], np.int32),
}


def item_meter(**changes):
  return evaluation.ItemMeter(
    RULES,
    protocol=protocols.STRICT,
    item_counts=np.array([3, 2, 1]),
    **{"new_items": 1, "trained": np.array([4, 0, 5]), **changes},
  )


def test_new_products_compete_where_they_are_scored():
  report = measure(
    item_meter(), PEOPLE, [[4, 3, 2, 1], [0, 0, 0, 9]] + [[0] * 4]
  )
  assert report.ranks_PM.tolist() == [[2], [1], [4]]
  assert report.passport["catalogue"] == 4
  assert report.passport["new products"] == "in"
  assert "came after training" in report.passport["candidates"]
  assert named(report, "target product") == {
    "trained": (1, 1.0),
    "cold": (2, 1.0),
  }
  assert named(report, "person") == {"trained": (2, 1.0), "cold": (1, 1.0)}
  assert named(report, "target popularity")["unseen"] == (2, 1.0)


def test_new_products_are_missed_where_they_are_not():
  report = measure(item_meter(), PEOPLE, [[4, 3, 2]] * 3)
  assert report.ranks_PM.tolist() == [[2], [4], [4]]
  assert report.passport["catalogue"] == 3
  assert report.passport["new products"] == "out"
  rows = {p.name: p for p in report.slices if p.group == "target product"}
  assert (rows["cold"].people, rows["trained"].people) == (2, 1)


def test_nothing_new_is_not_spoken_of():
  plain = item_meter(new_items=0, trained=None)
  batch = PEOPLE | {"target_ids": np.array([1, 2, 0], np.int32)}
  report = measure(plain, batch, [[4, 3, 2]] * 3)
  assert "new products" not in report.passport
  assert {p.group for p in report.slices} == {
    "target popularity",
    "history length",
  }
  with pytest.raises(UserError, match=r"expected \(3, 3\): a row"):
    measure(item_meter(new_items=0), PEOPLE, [[1, 2, 3, 4]] * 3)


# Products 0 and 1 trained, with tags 0 and 0, 1; 2 and 3 are asked about.
# Tags 3 and 4 are new.
PRODUCTS = {
  "question": np.array([0, 1, -1], np.int32),
  "product_ids": np.array([2, 3, -1], np.int32),
}
TAGS = np.array([[0, -1], [0, 1], [0, 4], [1, 3]], np.int32)
TAG_COUNTS = TagCounts(2, np.array([2, 1, 0]))
SCORES = [[5, 4, 3, 2, 1], [0, 5, 4, 3, 2], [0] * 5]


def tag_meter(**changes):
  return evaluation.TagMeter(
    RULES,
    **{
      "tags_of_item": TAGS,
      "counts": TAG_COUNTS,
      "new_tags": 2,
      "new_items": 2,
      **changes,
    },
  )


def test_new_tags_among_all_and_among_themselves():
  report = measure(tag_meter(), PRODUCTS, SCORES)
  assert report.ranks_PM.tolist() == [[1, 5], [1, 3]]
  assert report.people == {"products": 2, "without_tags": 0}
  assert report.passport["new tags"] == "in"
  assert report.passport["relevant"] == "all tags of the product"
  assert "resamples of products" in report.passport["bootstrap"]
  assert "2 products, 5 candidates" in table.caption({"given": report})
  parts = {p.name: p for p in report.slices}
  assert set(parts) == {"head", "tail", "unseen", "unseen, among these alone"}
  assert parts["unseen"].people == 2
  ndcg = parts["unseen"].values["ndcg@10"]
  assert ndcg == pytest.approx((1 / np.log2(6) + 1 / np.log2(4)) / 2)
  alone = parts["unseen, among these alone"].values["ndcg@10"]
  assert alone == pytest.approx((1 / np.log2(3) + 1) / 2)


def test_new_tags_are_missed_where_they_are_not_scored():
  report = measure(tag_meter(), PRODUCTS, [row[:3] for row in SCORES])
  assert report.ranks_PM.tolist() == [[1, 4], [1, 4]]
  assert report.passport["new tags"] == "out"
  assert "unseen, among these alone" not in {p.name for p in report.slices}


def test_propensity_scored_precision_by_hand():
  counts = TagCounts(1000, np.array([500, 10, 1]))
  # C = (log N - 1)(B + 1)^A, and 1/p = 1 + C (n + B)^-A.
  scale = (np.log(1000) - 1) * 2.5**0.55
  gains = 1 + scale * (np.array([500, 10, 1, 0, 0]) + 1.5) ** -0.55
  np.testing.assert_allclose(1 / counts.propensities(), gains[:3])
  report = measure(tag_meter(counts=counts), PRODUCTS, SCORES)
  one = (gains[0] + gains[1]) / (gains[4] + gains[3])
  assert report.metrics["psp@1"] == pytest.approx(one)
  assert report.metrics["psp@2"] == pytest.approx(
    (gains[0] + gains[1]) / (gains[[0, 4, 1, 3]].sum())
  )
  assert report.metrics["f1@2"] == 0.5
  low, high = report.intervals["psp@1"]
  assert low <= one <= high


def test_sets_of_tags_by_hand():
  """Chosen 0 1 2 and 1 2 3; right 0 4 and 1 3: 3 hits of 6 and 4."""
  meter = tag_meter(calibration=Calibration("score", 2.5, 0.0))
  report = measure(meter, PRODUCTS, SCORES)
  assert report.metrics["micro_f1"] == pytest.approx(2 * 3 / (6 + 4))
  # Tags 0: 1; 1: 2·1/(2+1); 2: 0; 3: 1; 4: 0.
  assert report.metrics["macro_f1"] == pytest.approx(
    (1 + 2 / 3 + 0 + 1 + 0) / 5
  )
  assert report.metrics["tags_chosen"] == 3
  assert "'score', threshold 2.5" in report.passport["set of tags"]
  low, high = report.intervals["micro_f1"]
  assert low <= report.metrics["micro_f1"] <= high


def test_sets_of_tags_where_new_ones_are_not_scored():
  meter = tag_meter(calibration=Calibration("score", 2.5, 0.0))
  report = measure(meter, PRODUCTS, [row[:3] for row in SCORES])
  assert report.metrics["micro_f1"] == pytest.approx(2 * 2 / (5 + 4))
