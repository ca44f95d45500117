from __future__ import annotations

import numpy as np
import pytest

from tagrec_jax.models.baselines import popularity

TWO = {"question": np.arange(2)}


def test_counts_training_only(make_dataset):
  dataset = make_dataset([[0, 1, 3], [1, 0, 3], [1, 2, 3]], train=[2, 1, 2])
  scores = popularity.Popularity().fit(dataset)(TWO)
  assert scores.dtype == np.float32
  np.testing.assert_allclose(scores, [[0.2, 0.6, 0.2, 0]] * 2, rtol=1e-6)


def test_recent_by_days(make_dataset):
  day = 86400
  dataset = make_dataset(
    [[0, 1], [0, 2, 3]],
    train=[2, 2],
    times=[[0, 10 * day], [0, 20 * day, 99 * day]],
  )
  scores = popularity.RecentPopularity(half_life_days=10.0).fit(dataset).scores
  # Ages 20, 10 and 20, 0 days: item 0 twice a quarter.
  total = 1 / 4 + 1 / 2 + 1 / 4 + 1
  np.testing.assert_allclose(
    scores, np.array([1 / 2, 1 / 2, 1, 0]) / total, rtol=1e-6
  )


def test_recent_by_order_where_there_is_no_time(make_dataset):
  dataset = make_dataset([[0, 1, 2, 3]], train=[3])
  scores = popularity.RecentPopularity(half_life_events=1.0).fit(dataset).scores
  assert scores.tolist() == pytest.approx([1 / 7, 2 / 7, 4 / 7, 0])


def test_a_long_half_life_is_plain_popularity(make_dataset):
  dataset = make_dataset([[0, 1, 2], [2, 1], [1]])
  recent = popularity.RecentPopularity(half_life_events=1e12).fit(dataset)
  plain = popularity.Popularity().fit(dataset)
  np.testing.assert_allclose(recent.scores, plain.scores, rtol=1e-6)
