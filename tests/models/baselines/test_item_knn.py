from __future__ import annotations

import numpy as np
import pytest

from tagrec_jax.models.baselines import item_knn

PEOPLE = [[0, 1, 0], [0, 1], [0, 2], [3]]
# Item 0 has three people, 1 two, 2 and 3 one; (0, 1) share two, (0, 2) one.
ROOT = np.sqrt
COSINE = {(0, 1): 2 / ROOT(6), (0, 2): 1 / ROOT(3)}


def matrix(dataset, **changes):
  return item_knn.ItemKNN(**changes).fit(dataset).votes.toarray()


def test_cosine_hand_worked(make_dataset):
  expected = np.zeros((4, 4))
  for (i, j), value in COSINE.items():
    expected[i, j] = expected[j, i] = value
  got = matrix(make_dataset(PEOPLE), shrinkage=0.0)
  np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_shrinkage_doubts_rare_items(make_dataset):
  got = matrix(make_dataset(PEOPLE), shrinkage=2.0)
  assert got[0, 1] == pytest.approx(2 / (ROOT(6) + 2))
  assert got[0, 2] == pytest.approx(1 / (ROOT(3) + 2))


def test_only_the_nearest_are_kept(make_dataset):
  got = matrix(make_dataset(PEOPLE), shrinkage=0.0, neighbours=1)
  assert np.count_nonzero(got, axis=1).tolist() == [1, 1, 1, 0]
  assert got[0].argmax() == 1


def test_of_equals_the_smaller_index_is_kept(make_dataset):
  got = matrix(make_dataset([[3, 2, 1, 0]]), neighbours=2)
  assert [np.flatnonzero(row).tolist() for row in got] == [
    [1, 2],
    [0, 2],
    [0, 1],
    [0, 1],
  ]


def test_blocks_equal_the_whole(make_dataset, monkeypatch):
  random = np.random.default_rng(0)
  people = [random.integers(0, 30, 12).tolist() for _ in range(40)]
  dataset = make_dataset(people, num_items=30)
  whole = matrix(dataset, neighbours=5)
  monkeypatch.setattr(item_knn, "_CELLS_AT_ONCE", 200)
  np.testing.assert_array_equal(matrix(dataset, neighbours=5), whole)


def test_equals_the_slow_way(make_dataset):
  random = np.random.default_rng(1)
  people = [random.integers(0, 9, 4).tolist() for _ in range(15)]
  sets = [{p for p, items in enumerate(people) if i in items} for i in range(9)]
  expected = np.zeros((9, 9))
  for i in range(9):
    for j in range(9):
      size = np.sqrt(len(sets[i]) * len(sets[j]))
      if i != j and size:
        expected[i, j] = len(sets[i] & sets[j]) / (size + 1.5)
  got = matrix(make_dataset(people, num_items=9), shrinkage=1.5)
  np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_held_out_events_teach_nothing(make_dataset):
  shown = make_dataset([[0, 1, 2, 3]], train=[2])
  assert not matrix(shown)[:, 2:].any()


def test_scores_hand_worked(make_dataset):
  scorer = item_knn.ItemKNN(shrinkage=0.0, decay=0.5, doubt=0.1).fit(
    make_dataset(PEOPLE)
  )
  got = scorer({"history_ids": np.array([[-2, 2, 1, -1]])})[0]
  popular = np.array([4, 2, 1, 1]) / 8
  votes = np.array([(COSINE[0, 2] + 2 * COSINE[0, 1]) / 3, 0, 0, 0])
  np.testing.assert_allclose(got, votes + 0.1 * popular, rtol=1e-6)
