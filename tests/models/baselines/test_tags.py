from __future__ import annotations

import numpy as np

from tagrec_jax.models.baselines import tags

# Item 1 names tag 2 twice, which counts once.
TAGS = [[0, 1, -1], [2, 2, -1], [-1, -1, -1], [1, -1, -1]]
PEOPLE = [[0, 1, 3], [0, 0, 2]]
POPULAR = np.array([2, 2, 1]) / 5  # training: 0, 1 and 0, nothing else


def test_popularity_counts_training_only(make_dataset):
  dataset = make_dataset(PEOPLE, train=[2, 1], tags=TAGS)
  got = tags.TagPopularity().fit(dataset)({"question": np.arange(2)})
  np.testing.assert_allclose(got, [POPULAR] * 2, rtol=1e-6)


def test_of_the_person(make_dataset):
  dataset = make_dataset(PEOPLE, train=[2, 1], tags=TAGS)
  scorer = tags.PersonTagPopularity(decay=0.5, doubt=0.1).fit(dataset)
  got = scorer({"history_ids": np.array([[-2, 1, 3], [-1, -1, -1]])})
  assert got.dtype == np.float32
  np.testing.assert_allclose(
    got, [np.array([0, 2, 1]) / 3 + 0.1 * POPULAR, POPULAR], rtol=1e-6
  )
