"""What tags and products occur with."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from tagrec_jax.evaluation.entries import item_entries, tag_entries


def test_tags_by_the_tags_of_the_same_products():
  # Products with the tags 0 and 1 (1 given twice), 0 and 2, and none.
  given = sparse.csr_array(np.array([[1, 2, 0], [3, 0, 1], [0, 0, 0]]))
  entries = tag_entries(np.array([4, 2, 1, 0]), given)
  assert entries.profiles.toarray().tolist() == [
    [2, 1, 1, 0],
    [1, 1, 0, 0],
    [1, 0, 1, 0],
    [0, 0, 0, 0],  # came after training
  ]
  # Of 0 and 1: (2 + 1) / (√6 √2), once for each order.
  likeness = entries.likeness(np.array([[0, 1], [0, 3], [-1, 2]]))
  np.testing.assert_allclose(likeness, [2 * 3 / 12**0.5, 0, 0], atol=1e-12)


def test_products_by_their_tags():
  tags = np.array([[0, 0, 1], [1, -1, -1], [-1, -1, -1]])
  entries = item_entries(np.array([1, 2, 0]), tags, 2)
  assert entries.profiles.toarray().tolist() == [[1, 1], [0, 1], [0, 0]]
  assert entries.told


def test_products_without_tags_have_no_profiles():
  for tags in (None, np.full((2, 1), -1)):
    assert item_entries(np.array([1, 2]), tags, 0).profiles is None
