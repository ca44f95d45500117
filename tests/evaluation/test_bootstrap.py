"""The interval: against theory, against drawing people, and its seed."""

from __future__ import annotations

import numpy as np
import pytest

from tagrec_jax.evaluation import bootstrap


def test_of_a_rate_equals_the_normal_approximation():
  people, rate = 20_000, 0.05
  hits = (np.arange(people) < people * rate).astype(np.float64)
  low, high = bootstrap.interval(hits, samples=4000, seed=0)
  half = 1.96 * np.sqrt(rate * (1 - rate) / people)
  assert low == pytest.approx(rate - half, rel=0.01)
  assert high == pytest.approx(rate + half, rel=0.01)


def test_equals_drawing_people():
  random = np.random.default_rng(1)
  values = random.exponential(size=50).round(1)
  drawn = values[random.integers(0, 50, (100_000, 50))].mean(axis=1)
  expected = np.percentile(drawn, (2.5, 97.5))
  got = bootstrap.interval(values, samples=100_000, seed=0)
  np.testing.assert_allclose(got, expected, rtol=0.01)


def test_depends_on_the_seed_and_not_on_the_order_of_people():
  values = np.random.default_rng(2).random(300)
  first = bootstrap.interval(values, 200, seed=3)
  assert bootstrap.interval(values[::-1], 200, seed=3) == first
  assert bootstrap.interval(values, 200, seed=4) != first


def test_blocks_draw_all_samples_and_no_more(monkeypatch):
  values = np.arange(10.0)
  whole = bootstrap.interval(values, 8, seed=0)
  monkeypatch.setattr(bootstrap, "_COUNTS_AT_ONCE", 70)  # 7 samples, then 1
  assert bootstrap.interval(values, 8, seed=0) == whole


def test_one_person():
  assert bootstrap.interval(np.array([0.5]), 100, seed=0) == (0.5, 0.5)


def test_a_ratio_of_sums_equals_drawing_people():
  random = np.random.default_rng(1)
  values, weights = random.exponential(size=(2, 50)).round(1)
  drawn = random.integers(0, 50, (100_000, 50))
  ratios = values[drawn].sum(axis=1) / weights[drawn].sum(axis=1)
  expected = np.percentile(ratios, (2.5, 97.5))
  got = bootstrap.interval(values, 100_000, 0, weights)
  np.testing.assert_allclose(got, expected, rtol=0.01)


def test_weights_of_one_change_nothing():
  values = np.random.default_rng(2).random(30)
  np.testing.assert_allclose(
    bootstrap.interval(values, 200, 3, np.ones(30)),
    bootstrap.interval(values, 200, 3),
    rtol=1e-12,
  )


def test_what_is_made_of_means_equals_drawing_people():
  random = np.random.default_rng(1)
  columns = random.exponential(size=(50, 2)).round(1)
  drawn = columns[random.integers(0, 50, (100_000, 50))].mean(axis=1)
  expected = np.percentile(drawn.prod(axis=1), (2.5, 97.5))
  got = bootstrap.interval_of_means(
    columns, lambda means: means.prod(axis=1), 100_000, seed=0
  )
  np.testing.assert_allclose(got, expected, rtol=0.01)


def test_values_that_all_differ_are_rounded_a_little():
  values = np.random.default_rng(2).exponential(size=(5000, 1))
  expected = bootstrap.interval(values[:, 0], 2000, seed=0)
  leveled = bootstrap._leveled(values)
  assert len(np.unique(leveled)) <= 1024
  assert leveled.mean() == pytest.approx(values.mean(), rel=1e-12)
  assert np.abs(leveled - values).max() < np.ptp(values) / 1000
  got = bootstrap.interval_of_means(values, lambda m: m[:, 0], 2000, seed=0)
  np.testing.assert_allclose(got, expected, rtol=0.01)
