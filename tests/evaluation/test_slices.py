"""Who is in which slice, and that nobody is lost."""

from __future__ import annotations

import numpy as np

from tagrec_jax.evaluation import slices


def test_thirds_of_events_not_of_items():
  # 12 events: item 0 has the first third; items 1, 2 the second; the rest.
  counts = np.array([4, 2, 2, 1, 1, 1, 1, 0])
  names = [slices.POPULARITY[c] for c in slices.item_popularity(counts)]
  assert names == ["head", "middle", "middle", *["tail"] * 4, "unseen"]


def test_equal_counts_stay_together():
  names = slices.item_popularity(np.array([1, 1, 1, 1]))
  assert names.tolist() == [0, 0, 0, 0]


def test_no_training_events():
  assert slices.item_popularity(np.zeros(3, int)).tolist() == [3, 3, 3]


def test_by_popularity():
  counts = np.array([4, 2, 2, 1, 1, 1, 1, 0])
  target = np.array([0, 0, 1, -1, 7])
  ranks = np.array([[1], [11], [2], [9], [9]])
  rows = slices.by_popularity(ranks, target, counts)
  assert [(r.name, r.people) for r in rows] == [
    ("head", 2),
    ("middle", 1),
    ("unseen", 2),
  ]
  assert rows[0].values == {"recall@10": 0.5, "ndcg@10": 0.5}
  assert rows[1].values["ndcg@10"] == 1 / np.log2(3)


def test_by_history_has_everybody_once():
  lengths = np.array([0, 1, 2, 3, 5, 6, 10, 11, 20, 21, 5000])
  rows = slices.by_history(np.ones((11, 1), int), lengths)
  assert [(r.name, r.people) for r in rows] == [
    ("0", 1),
    ("1-2", 2),
    ("3-5", 2),
    ("6-10", 2),
    ("11-20", 2),
    ("21+", 2),
  ]
  assert all(r.values["recall@10"] == 1 for r in rows)


def test_by_earlier_use_parts_the_tags_of_each_question():
  ranks = np.array([[1, 20, 2, 0], [30, 3, 0, 0]])
  own = np.array([[True, True, False, False], [False, False, False, False]])
  product = np.array([[True, False, True, False], [True, False, False, False]])
  rows = slices.by_earlier_use(ranks, own, product)
  assert [(r.name, r.people, r.values["recall@10"]) for r in rows] == [
    ("by the person, to the product", 1, 1.0),  # the first
    ("by the person alone", 1, 0.0),  # 20
    ("to the product alone", 2, 0.5),  # 2, and 30
    ("neither", 1, 1.0),  # 3; padding is nobody's
  ]
