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


def test_reach_counts_all_of_a_history(make_dataset):
  got = scores(
    make_dataset(PEOPLE), [0], smoothing=1.0, window=2, reach=1 / np.log(4)
  )
  # Item 2 two places after 0: a quarter.
  np.testing.assert_allclose(
    got, (np.array([0, 2, 0.25, 1]) + POPULAR) / 4.25, rtol=1e-6
  )


def test_back_counts_what_came_before(make_dataset):
  got = scores(make_dataset(PEOPLE), [1], smoothing=1.0, back=0.5)
  # After 1: once 2; before it: twice 0, which count a half each.
  np.testing.assert_allclose(
    got, (np.array([1, 0, 1, 0]) + POPULAR) / 3, rtol=1e-6
  )


def test_with_back_nothing_is_its_own_neighbour(make_dataset):
  got = scores(make_dataset([[0, 0, 1]]), [0], smoothing=0.0, back=1.0)
  np.testing.assert_allclose(got, [0, 1, 0, 0], atol=1e-7)


def test_discount_tells_less_of_what_follows_everything(make_dataset):
  people = [[0, 1], [0, 2], [3, 1], [4, 1], [5, 1]]
  dataset = make_dataset(people, num_items=6)
  got = scores(dataset, [0], smoothing=1.0, discount=0.5)
  # 1 follows four times in all, 2 once: 1/2 to 1, in a row that sums to 2.
  popular = np.array([2, 4, 1, 1, 1, 1]) / 10
  wanted = np.array([0, 2 / 3, 4 / 3, 0, 0, 0])
  np.testing.assert_allclose(got, (wanted + popular) / 3, rtol=1e-5)
  assert got.dtype == np.float32


def test_all_settings_together_against_a_slow_loop(make_dataset):
  """All settings at once, against counting pair by pair."""
  random = np.random.default_rng(0)
  people = [list(random.integers(0, 6, 7)) for _ in range(9)]
  dataset = make_dataset(people, num_items=6)
  window, reach, back, discount, smoothing = 4, 3.0, 0.3, 0.4, 2.0
  n = np.zeros((6, 6))
  for events in people:
    for a in range(len(events)):
      for b in range(a + 1, min(a + window, len(events) - 1) + 1):
        weight = np.exp(-(b - a - 1) / reach)
        n[events[a], events[b]] += weight
        n[events[b], events[a]] += back * weight
  np.fill_diagonal(n, 0)
  popular = np.bincount(np.concatenate(people), minlength=6) / 63
  kept = n / n.sum(0) ** discount
  kept *= (n.sum(1) / kept.sum(1))[:, None]
  wanted = (kept[2] + smoothing * popular) / (n[2].sum() + smoothing)
  got = scores(
    dataset,
    [2],
    window=window,
    reach=reach,
    back=back,
    discount=discount,
    smoothing=smoothing,
  )
  np.testing.assert_allclose(got, wanted, rtol=1e-5)
