"""Batches of products: each of training once an epoch, none that is new."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.products import ProductBatches, product_question_batches
from tagrec_jax.data.sounds import MISSING
from tagrec_jax.data.spec import Feature, Kind, Part, Spec
from tagrec_jax.data.vocab import Vocabulary
from tests.data.made import SETTINGS, make_dataset

FEATURES = (
  Feature("tags", Part.PRODUCT, Kind.ID_SET, 5, 4),
  Feature("text", Part.PRODUCT, Kind.TEXT, 90, 9),
  Feature("brand", Part.PRODUCT, Kind.CATEGORY, 90),
  Feature("numbers", Part.PRODUCT, Kind.NUMBER, 0, 1),
  Feature("image", Part.PRODUCT, Kind.IMAGE, 0, 2),
  Feature("audio", Part.PRODUCT, Kind.AUDIO, 0, 2),
)
NAMES = tuple(f.name for f in FEATURES[1:])


def shelf(trained: int, new: int = 2) -> Dataset:
  """Product p is made of p everywhere; every fifth of training has no tag."""
  rows = np.arange(trained + new)
  tags = np.full((len(rows), 4), UNKNOWN, np.int32)
  tags[:, 0] = rows % 5
  tags[3::4, 1] = 0
  tags[0:trained:5] = UNKNOWN
  tags[trained:, :3] = [5, 4, 0]  # 5 is a new tag
  text = np.full((len(rows), 9), UNKNOWN, np.int32)
  text[:, 0] = rows
  text[1:trained:2, 1:3] = 7
  text[trained:, 1:5] = 8
  return dataclasses.replace(
    make_dataset([]),
    spec=Spec(trained, 5, FEATURES, new, 1),
    items=Vocabulary([f"{p:02}" for p in range(trained)]),
    product={
      "tags": tags,
      "text": text,
      "brand": rows.astype(np.int32),
      "numbers": rows[:, None].astype(np.float32),
      "image": np.full((len(rows), 2, 2, 3), rows[:, None, None, None], "u1"),
      "audio": np.stack([rows, -rows], 1).astype(np.int16),
    },
  )


@given(st.integers(2, 40), st.integers(1, 60))
def test_each_product_with_a_tag_comes_once_an_epoch(trained, batch_rows):
  settings = dataclasses.replace(SETTINGS, batch_rows=batch_rows)
  batches = ProductBatches(shelf(trained), settings, features=("brand",))
  tagged = [p for p in range(trained) if p % 5]
  assert batches.steps_per_epoch == len(tagged) / batch_rows
  # As many batches as an epoch has products are as many epochs as a batch has.
  stream = np.concatenate(
    [batches(step)["product_ids"] for step in range(len(tagged))]
  )
  for epoch in stream.reshape(batch_rows, len(tagged)):
    assert sorted(epoch.tolist()) == tagged


def test_a_batch_holds_its_products_and_their_tags_alone():
  dataset = shelf(30)
  batches = ProductBatches(dataset, SETTINGS, features=NAMES, seed=2)
  for step in range(20):
    batch = batches(step)
    rows = batch["product_ids"]
    assert rows.dtype == np.int32
    assert (rows < 30).all()
    np.testing.assert_array_equal(batch["product_brand"], rows)
    np.testing.assert_array_equal(batch["product_numbers"][:, 0], rows)
    np.testing.assert_array_equal(batch["product_image"][:, 1, 1, 2], rows)
    np.testing.assert_array_equal(batch["product_audio"][:, 1], -rows)
    assert batch["product_image"].dtype == np.uint8
    assert batch["product_audio"].dtype == np.int16
    # As wide as training needs, which is less than new products do.
    np.testing.assert_array_equal(
      batch["product_text"], dataset.product["text"][rows, :3]
    )
    np.testing.assert_array_equal(
      batch["target_tags"], dataset.product["tags"][rows, :2]
    )
    assert batch["target_tags"].max() < 5


def test_a_batch_depends_on_seed_and_step_alone():
  first, second = (
    ProductBatches(shelf(30), SETTINGS, features=NAMES, seed=3)
    for _ in range(2)
  )
  second(700)  # what was asked before leaves no trace
  for step in (5, 0, 11):
    for name, array in first(step).items():
      np.testing.assert_array_equal(array, second(step)[name])
  other = ProductBatches(shelf(30), SETTINGS, features=NAMES, seed=4)
  assert (other(0)["product_ids"] != first(0)["product_ids"]).any()


@pytest.mark.parametrize("trained", [3, 30])
def test_hosts_share_the_same_global_batch(trained):
  dataset = shelf(trained)
  whole = ProductBatches(dataset, SETTINGS, features=NAMES)
  parts = [
    ProductBatches(dataset, SETTINGS, features=NAMES, host=h, hosts=2)
    for h in (0, 1)
  ]
  for step in range(9):
    for name, array in whole(step).items():
      np.testing.assert_array_equal(
        array, np.concatenate([part(step)[name] for part in parts])
      )
  with pytest.raises(UserError, match="a multiple of the 3 hosts"):
    ProductBatches(dataset, SETTINGS, features=NAMES, hosts=3)


def test_questions_in_their_order_and_rows_that_fill_up():
  dataset = shelf(30, new=4)
  asked = np.array([31, 30, 33], np.int32)
  first, last = product_question_batches(
    dataset, asked, features=NAMES, batch_products=2
  )
  np.testing.assert_array_equal(first["product_ids"], [31, 30])
  np.testing.assert_array_equal(first["question"], [0, 1])
  np.testing.assert_array_equal(first["target_tags"], [[5, 4, 0]] * 2)
  assert first["product_text"].shape == (2, 5)
  np.testing.assert_array_equal(last["product_ids"], [33, UNKNOWN])
  np.testing.assert_array_equal(last["question"], [2, UNKNOWN])
  assert {name: array.dtype for name, array in first.items()} == (
    {name: array.dtype for name, array in last.items()}
  )
  # The last row is a product of which nothing is known.
  assert (last["target_tags"][1] == UNKNOWN).all()
  assert (last["product_text"][1] == UNKNOWN).all()
  assert last["product_brand"][1] == UNKNOWN
  assert np.isnan(last["product_numbers"][1]).all()
  assert (last["product_image"][1] == 0).all()
  assert (last["product_audio"][1] == MISSING).all()
  # What was gathered is a copy.
  np.testing.assert_array_equal(dataset.product["brand"], np.arange(34))


def test_no_questions():
  none = np.zeros(0, np.int32)
  assert not [
    *product_question_batches(shelf(3), none, features=NAMES, batch_products=2)
  ]


def test_products_without_tags_cannot_train():
  dataset = shelf(1)
  with pytest.raises(UserError, match="no product of training has a tag"):
    ProductBatches(dataset, SETTINGS, features=NAMES)
  bare = dataclasses.replace(dataset, product={})
  with pytest.raises(UserError, match="no product of training has a tag"):
    ProductBatches(bare, SETTINGS, features=())
