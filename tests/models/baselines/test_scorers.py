"""What baselines are allowed to see, and how a history votes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from tagrec_jax.models.baselines import scorers


def test_training_events_stop_at_train_ends(make_dataset):
  dataset = make_dataset([[0, 1, 2, 3], [2, -1, 0, 1]], train=[2, 3])
  events = scorers.training_events(dataset)
  assert events.people.tolist() == [0, 0, 1, 1]
  assert events.items.tolist() == [0, 1, 2, 0]
  assert events.ages.tolist() == [1, 0, 2, 0]
  assert scorers.item_counts(dataset).tolist() == [2, 1, 1, 0]


@pytest.mark.parametrize(
  ("decay", "expected"),
  [
    (1.0, [1 / 3, 2 / 3]),
    (0.5, [0.5 / 1.75, 1.25 / 1.75]),
    (0.0, [0, 1]),
  ],
)
def test_newer_events_weigh_more(decay, expected):
  votes = sparse.csr_array(np.eye(2, dtype=np.float32))
  scorer = scorers.FromHistory(
    votes, np.zeros(2, np.float32), np.array([0.5, 0.5], np.float32), decay
  )
  # Begin, item 1, item 0, unknown, item 1, padding.
  got = scorer({"history_ids": np.array([[-2, 1, 0, -1, 1, -1]])})
  assert got.dtype == np.float32
  np.testing.assert_allclose(got, [expected], rtol=1e-6)


def test_without_history_the_prior_answers():
  scorer = scorers.FromHistory(
    sparse.csr_array(np.ones((2, 3), np.float32)),
    np.array([0.5, 0.25], np.float32),
    np.array([0.5, 0.25, 0.25], np.float32),
    decay=1.0,
  )
  got = scorer({"history_ids": np.array([[-1, -1], [-2, -1], [0, 1]])})
  prior = [0.5, 0.25, 0.25]
  half = 0.375  # the mean doubt
  np.testing.assert_allclose(
    got, [prior, prior, [1 + half * p for p in prior]], rtol=1e-6
  )


def test_shares_of_nothing():
  assert scorers.shares(np.zeros(3)).tolist() == [0, 0, 0]
