from __future__ import annotations

import numpy as np
import pytest

from tagrec_jax.models.baselines import markov

PEOPLE = [[0, 1, 2], [0, 1], [0, 3]]
POPULAR = np.array([3, 2, 1, 1]) / 7


def scores(dataset, history, **changes):
  scorer = markov.Markov(**{"window": 1, "decay": 0.0, **changes}).fit(dataset)
  got = scorer({"history_ids": np.array([history])})
  assert got.dtype == np.float32
  return got[0]


def test_transitions_hand_worked(make_dataset):
  dataset = make_dataset(PEOPLE)
  got = scores(dataset, [2, 0, -1], smoothing=1.0)
  # After 0: twice 1, once 3.
  np.testing.assert_allclose(
    got, (np.array([0, 2, 0, 1]) + POPULAR) / 4, rtol=1e-6
  )
  assert got.sum() == pytest.approx(1)


def test_later_events_count_less(make_dataset):
  got = scores(make_dataset(PEOPLE), [0], smoothing=1.0, window=2)
  # Item 2 two places after 0: a half.
  np.testing.assert_allclose(
    got, (np.array([0, 2, 0.5, 1]) + POPULAR) / 4.5, rtol=1e-6
  )


def test_nobody_follows_the_last_event_of_another(make_dataset):
  got = scores(make_dataset([[0], [1], [2], [3, 3]]), [0], window=3)
  np.testing.assert_allclose(got, [0.2, 0.2, 0.2, 0.4], rtol=1e-6)


@pytest.mark.parametrize("history", [[2], [-1], [-2]])
@pytest.mark.parametrize("smoothing", [0.0, 5.0])
def test_backs_off_to_popularity(make_dataset, history, smoothing):
  """Nothing follows item 2, and nothing is known without a history."""
  got = scores(make_dataset(PEOPLE), history, smoothing=smoothing)
  np.testing.assert_allclose(got, POPULAR, rtol=1e-6)


def test_decay_listens_to_earlier_items(make_dataset):
  dataset = make_dataset(PEOPLE)
  now = scores(dataset, [0, 1], smoothing=1.0, decay=0.5)
  zero, one = (scores(dataset, [i], smoothing=1.0) for i in (0, 1))
  np.testing.assert_allclose(now, zero / 3 + 2 * one / 3, rtol=1e-6)


def test_held_out_events_teach_nothing(make_dataset):
  dataset = make_dataset([[0, 1, 2, 3]], train=[2])
  got = scores(dataset, [1], smoothing=1.0)
  np.testing.assert_allclose(got, [0.5, 0.5, 0, 0], rtol=1e-6)


def test_a_window_longer_than_all_events(make_dataset):
  got = scores(make_dataset([[0, 1]]), [0], window=10, smoothing=1.0)
  np.testing.assert_allclose(got, [0.25, 0.75, 0, 0], rtol=1e-6)
