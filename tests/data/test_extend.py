"""Rows for products and tags that came after training."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.base import get_config
from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import from_dict
from tagrec_jax.data import store
from tagrec_jax.data.clean import clean
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.extend import extend
from tagrec_jax.data.fingerprint import fingerprint
from tagrec_jax.data.pipeline import TrainBatches
from tagrec_jax.data.prepare import from_cleaned
from tagrec_jax.data.products import ProductBatches
from tagrec_jax.data.records import Event, Item, Tag
from tagrec_jax.data.vocab import Vocabulary
from tests.data.made import SETTINGS


def prepared() -> Dataset:
  config = get_config()
  config.data.min_person_events = 1
  config.data.catalogue = "described"
  config.data.cold_items = 0.3
  config.data.cold_tags = 0.3
  checked = from_dict(config.to_dict()).data
  items = [
    Item(
      f"{n:02}",
      f"title {n} {'red' if n % 3 else 'blue'}",
      tags=tuple(f"t{t}" for t in {n % 8, n % 7}),
      numbers={"price": float(n)},
      categories={"brand": "AB"[n % 2]},
    )
    for n in range(30)
  ]
  events = [
    Event(f"p{p}", f"{(7 * n + p) % 31:02}", 100 * n)
    for p in range(4)
    for n in range(9)
  ]
  return from_cleaned("made", clean([*items, *events], checked), checked)


BEFORE = prepared()
NEW_ITEMS = BEFORE.new_items.ids
NEW_TAGS = BEFORE.new_tags.ids
LATER = (
  Item("later", "blue title", tags=("t1", "first met"), numbers={"price": 2.0}),
  Item("last", tags=("t2", *NEW_TAGS[:1], "first met", "unknown"), group="g"),
)
ITEMS = (*(Item(id) for id in NEW_ITEMS), *LATER)
TAGS = (*(Tag(id) for id in NEW_TAGS), Tag("made up", "red"))


def known_of(dataset: Dataset) -> dict[str, dict[str, object]]:
  """id → what the data set holds of a product, whatever its row."""
  ids = (*dataset.items.ids, *dataset.new_items.ids)
  tags = (*dataset.tags.ids, *dataset.new_tags.ids)
  return {
    id: {
      "title": dataset.titles[row],
      "tags": [tags[t] for t in dataset.product["tags"][row] if t >= 0],
      "valid": row in dataset.valid_items,
      "test": row in dataset.test_items,
    }
    | {
      name: array[row].tolist()
      for name, array in dataset.product.items()
      if name != "tags"
    }
    for row, id in enumerate(ids)
  }


def test_by_hand():
  assert len(NEW_ITEMS) > 3
  assert len(NEW_TAGS) > 1
  promoted = (NEW_ITEMS[2], NEW_ITEMS[0])
  after = extend(
    BEFORE,
    [Item(promoted[0]), *LATER, Item(promoted[1])],
    [Tag("made up", "red"), Tag(NEW_TAGS[1])],
  )
  size = len(BEFORE.items)
  assert after.items.ids == (
    *(*BEFORE.items.ids, promoted[0]),
    *("later", "last", promoted[1]),
  )
  assert after.new_items.ids == (NEW_ITEMS[1], *NEW_ITEMS[3:])
  assert after.tags.ids == (*BEFORE.tags.ids, "made up", NEW_TAGS[1])
  rest = tuple(id for id in NEW_TAGS if id != NEW_TAGS[1])
  assert after.new_tags.ids == (*rest, "first met", "unknown")
  assert after.titles[size : size + 4] == (
    *(BEFORE.titles[size + 2], "blue title"),
    *("last", BEFORE.titles[size]),
  )
  known = known_of(after)
  before = known_of(BEFORE)
  assert {id: known[id] for id in before} == before
  assert known["later"]["tags"] == ["t1", "first met"]
  assert known["last"]["tags"] == list(LATER[1].tags)
  assert known["last"]["brand"] == UNKNOWN
  assert not known["later"]["test"]
  assert len(after.tag["text"]) == len(after.tags) + len(after.new_tags)
  red = BEFORE.encodings[1].names.index("red")
  assert red in after.tag["text"][after.tags.index("made up")]
  assert (after.spec.num_items, after.spec.num_new_items) == (
    size + 4,
    len(NEW_ITEMS) - 2,
  )


def check(after: Dataset) -> None:
  """What holds whatever was added."""
  size, num_tags = len(BEFORE.items), len(BEFORE.tags)
  assert after.items.ids[:size] == BEFORE.items.ids
  assert after.tags.ids[:num_tags] == BEFORE.tags.ids
  for name, array in BEFORE.product.items():
    old = after.product[name][:size]
    if name == "tags":
      assert (old[:, array.shape[1] :] == UNKNOWN).all()
      old = old[:, : array.shape[1]]
    np.testing.assert_array_equal(old, array[:size])
    assert len(after.product[name]) == len(after.titles)
    assert after.product[name].dtype == array.dtype
  for name, array in BEFORE.tag.items():
    np.testing.assert_array_equal(after.tag[name][:num_tags], array[:num_tags])
  assert after.encodings == BEFORE.encodings
  before, known = known_of(BEFORE), known_of(after)
  assert {id: known[id] for id in before} == before
  # Every event is still one with the same product.
  ids = np.array([*before, "-"])
  now = np.array([*known, "-"])
  np.testing.assert_array_equal(
    now[after.events.items], ids[BEFORE.events.items]
  )
  assert (np.diff(after.test_items) > 0).all()
  assert after.test_items.dtype == after.events.items.dtype == np.int32
  assert after.fingerprint == fingerprint(after)


@settings(max_examples=20)
@given(
  st.lists(st.sampled_from(range(len(ITEMS))), unique=True),
  st.lists(st.sampled_from(range(len(TAGS))), unique=True),
  st.integers(0, 9),
  st.integers(0, 9),
)
def test_two_steps_equal_one(items, tags, items_first, tags_first):
  given_items = [ITEMS[n] for n in items]
  given_tags = [TAGS[n] for n in tags]
  after = extend(BEFORE, given_items, given_tags)
  check(after)
  half = extend(BEFORE, given_items[:items_first], given_tags[:tags_first])
  twice = extend(half, given_items[items_first:], given_tags[tags_first:])
  assert twice.fingerprint == after.fingerprint


def test_nothing_added_is_the_same():
  assert extend(BEFORE, [], []).fingerprint == BEFORE.fingerprint


def test_can_be_kept(tmp_path):
  after = extend(BEFORE, ITEMS, TAGS)
  store.write(after, tmp_path / "longer")
  assert store.read(tmp_path / "longer").fingerprint == after.fingerprint


def test_what_is_asked_never_trains():
  after = extend(BEFORE, ITEMS, TAGS[:1])
  asked = {*after.valid_items.tolist(), *after.test_items.tolist()}
  assert min(asked) < len(after.items)
  batches = ProductBatches(after, SETTINGS, features=("brand",))
  met = set()
  for step in range(int(batches.steps_per_epoch) + 1):
    batch = batches(step)
    met |= set(batch["product_ids"].tolist())
    assert batch["target_tags"].max() < len(after.tags)
    assert (batch["target_tags"] >= 0).any(1).all()
  assert not met & asked
  assert after.items.index("later") in met
  old, new = (TrainBatches(d, SETTINGS)(0) for d in (BEFORE, after))
  for name in old:
    np.testing.assert_array_equal(old[name], new[name])


def test_what_cannot_be_added():
  with pytest.raises(UserError, match="item '.*: has been trained on"):
    extend(BEFORE, [Item(BEFORE.items.ids[0])], [])
  with pytest.raises(UserError, match="tag 'a': comes twice"):
    extend(BEFORE, [], [Tag("a"), Tag("a")])
  bare = dataclasses.replace(
    BEFORE,
    product={k: v for k, v in BEFORE.product.items() if k != "tags"},
    encodings=tuple(e for e in BEFORE.encodings if e.feature.name != "tags"),
    tags=Vocabulary([]),
  )
  with pytest.raises(UserError, match="no product of training has a tag"):
    extend(bare, [], [Tag("a")])
