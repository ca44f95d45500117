"""Tags from words: hand-worked, and new tags known by their own words."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tagrec_jax.data.spec import Feature, Kind, Part, Spec
from tagrec_jax.models.baselines import content, tags

# Products 0..3 are of training; 4 and 5 are new.
WORDS = np.array([[0, 1], [0, 2], [3, -1], [0, 2], [1, 3], [-1, -1]], np.int32)
TAGS = np.array([[0, 1], [1, -1], [2, 2], [1, -1], [0, 3], [2, -1]], np.int32)
# Tags 0..2, and tag 3, which is new.
TAG_WORDS = np.array([[1], [2], [-1], [3]], np.int32)


@pytest.fixture
def dataset(make_dataset):
  made = make_dataset([[0, 1]], tags=TAGS[:4])
  return dataclasses.replace(
    made,
    spec=Spec(
      num_items=4,
      num_tags=3,
      features=(Feature("ngrams", Part.PRODUCT, Kind.NGRAMS, 4, 2),),
      num_new_items=2,
      num_new_tags=1,
    ),
    product={"ngrams": WORDS, "tags": TAGS},
    tag={"ngrams": TAG_WORDS},
  )


def unit(ids):
  """The row of a product, from how many of four products have each word."""
  row = np.zeros(4)
  for word in ids[ids >= 0]:
    row[word] += np.log(4 / np.array([3, 1, 2, 1])[word]) + 1
  return row / max(np.linalg.norm(row), 1e-12)


def test_neighbours_vote_by_hand(dataset):
  scorer = content.TextKNN(neighbours=2, sharpness=2.0).fit(dataset)
  got = scorer({"product_ids": np.array([4, 5, -1])})
  alike = np.array([unit(WORDS[4]) @ unit(row) for row in WORDS[:4]])
  # Products 2 and 0 are nearest; tag 2, listed twice, counts once.
  expected = [alike[0] ** 2, alike[0] ** 2, alike[2] ** 2, 0]
  np.testing.assert_allclose(got[0], expected, rtol=1e-5)
  assert alike[[1, 3]].max() < alike[[0, 2]].min()
  np.testing.assert_array_equal(got[1:], np.zeros((2, 4)))


def test_only_the_nearest_vote(dataset):
  scorer = content.TextKNN(neighbours=1).fit(dataset)
  assert (scorer({"product_ids": np.array([4])})[0] > 0).sum() in (1, 2)


def test_a_product_of_training_has_no_vote_of_its_own(dataset):
  scorer = content.TextKNN(neighbours=4).fit(dataset)
  got = scorer({"product_ids": np.array([2, 1])})
  assert not got[0].any()  # nobody else has word 3
  alike = np.array([unit(WORDS[1]) @ unit(row) for row in WORDS[:4]])
  np.testing.assert_allclose(
    got[1], [alike[0] ** 2, alike[0] ** 2 + alike[3] ** 2, 0, 0], rtol=1e-5
  )


def test_words_of_tags_also_of_new_ones(dataset):
  scorer = content.TagTextSimilarity().fit(dataset)
  got = scorer({"product_ids": np.array([4, 1, -1])})
  for row, product in enumerate([4, 1]):
    expected = [unit(WORDS[product]) @ unit(ids) for ids in TAG_WORDS]
    np.testing.assert_allclose(got[row], expected, rtol=1e-5)
  assert got[0, 3] > 0
  assert not got[2].any()


def test_words_that_are_not_there(make_dataset):
  bare = make_dataset([[0]])
  assert not content.TextKNN.suits(bare)
  assert not content.TagTextSimilarity.suits(bare)


def test_new_products_and_tags_say_nothing_of_popularity(dataset):
  assert content.TextKNN.suits(dataset)
  got = tags.ProductTagPopularity().fit(dataset)({"question": np.arange(2)})
  np.testing.assert_allclose(got, np.tile([1 / 5, 3 / 5, 1 / 5, 0], (2, 1)))
  taken = tags.TagPopularity().fit(dataset)({"question": np.arange(1)})
  np.testing.assert_allclose(taken, [[1 / 3, 2 / 3, 0]], rtol=1e-6)


def test_histories_with_new_products(dataset):
  scorer = tags.PersonTagPopularity().fit(dataset)
  with_new = scorer({"history_ids": np.array([[0, 4, 5]])})
  np.testing.assert_allclose(
    with_new, scorer({"history_ids": np.array([[0, -1, -1]])})
  )
