"""Counts of tags, and what they say of tags that were overlooked."""

from __future__ import annotations

import numpy as np

from tagrec_jax.data.tag_counts import TagCounts

COUNTS = TagCounts(1000, np.array([900, 30, 1, 0]))


def test_rare_tags_are_overlooked_more():
  propensities = COUNTS.propensities()
  assert (np.diff(propensities) < 0).all()
  assert 0 < propensities.min() < propensities.max() < 1


def test_few_products_leave_probabilities():
  for products in (0, 1, 2):
    assert (TagCounts(products, np.zeros(3, int)).propensities() == 1).all()


def test_weights_have_a_mean_of_one_over_training_tags():
  for share in (0.0, 0.3, 1.0):
    weights = COUNTS.weights(share)
    mean = (weights * COUNTS.of_tag).sum() / COUNTS.of_tag.sum()
    np.testing.assert_allclose(mean, 1, rtol=1e-6)
  assert (COUNTS.weights(0.0) == 1).all()
  np.testing.assert_allclose(
    COUNTS.weights(1.0) * COUNTS.propensities(),
    np.full(4, COUNTS.weights(1.0)[0] * COUNTS.propensities()[0]),
    rtol=1e-6,
  )
