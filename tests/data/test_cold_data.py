"""What is kept out of training teaches nothing, and can still be asked for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from configs.base import get_config
from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import DataSettings, from_dict
from tagrec_jax.data.clean import clean
from tagrec_jax.data.cold import cold_items, cold_people, cold_tags
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.pipeline import TrainBatches
from tagrec_jax.data.prepare import from_cleaned
from tagrec_jax.data.products import ProductBatches
from tagrec_jax.data.questions import question_batches
from tagrec_jax.data.records import Event, Item, Record, Tag
from tagrec_jax.data.spec import Part
from tests.data.made import SETTINGS

DAY = 86_400
WORDS = ("red", "slow", "new", "tale", "of", "cats", "雨")


def settings(**changes) -> DataSettings:
  config = get_config()
  config.data.min_person_events = 1
  config.data.ngram_buckets = 64
  config.data.ngram_width = 4
  config.data.update(changes)
  return from_dict(config.to_dict()).data


def shelf(seed: int = 0, count: int = 60) -> list[Item]:
  random = np.random.default_rng(seed)

  def some(names, most):
    return tuple(random.choice(names, random.integers(0, most + 1)).tolist())

  return [
    Item(
      f"{number:02}",
      # The number keeps products from being alike.
      f"no{number} {' '.join(some(WORDS, 4))}",
      tags=some([f"t{n}" for n in range(12)], 3),
      numbers={"price": float(random.normal())},
      categories={"brand": str(random.choice(["A", "B"]))},
      sets={"specs": some(["x", "y", "z"], 2)},
      group=f"g{number % 50}",
    )
    for number in range(count)
  ]


def events(seed: int = 0, people: int = 12, items: int = 60) -> list[Event]:
  random = np.random.default_rng((1, seed))
  return [
    Event(f"p{person}", f"{random.integers(items):02}", DAY * (time + person))
    for person in range(people)
    for time in range(8)
  ]


def prepared(records: list[Record], **changes) -> Dataset:
  checked = settings(**changes)
  return from_cleaned("shelf", clean(records, checked), checked)


def trained_events(dataset: Dataset) -> np.ndarray:
  ends = np.repeat(dataset.train_ends, np.diff(dataset.events.offsets))
  return dataset.events.items[np.arange(len(dataset.events.items)) < ends]


def tags_of(dataset: Dataset, row: int) -> set[str]:
  names = (*dataset.tags.ids, *dataset.new_tags.ids)
  return {names[tag] for tag in dataset.product["tags"][row] if tag >= 0}


DESCRIBED = {"catalogue": "described", "cold_items": 0.2}


def test_described_products_without_people():
  items = shelf()
  dataset = prepared([*items], **DESCRIBED)
  cold = cold_items(items, 0.2)
  by_id = {item.id: item for item in items}
  assert dataset.items.ids == tuple(
    i.id for i in items if i.tags and i.id not in cold
  )
  assert dataset.new_items.ids == tuple(i.id for i in items if i.id in cold)
  ids = (*dataset.items.ids, *dataset.new_items.ids)
  for part, rows in (
    (cold.valid, dataset.valid_items),
    (cold.test, dataset.test_items),
  ):
    assert [ids[row] for row in rows] == sorted(
      id for id in part if by_id[id].tags
    )
  for row, id in enumerate(ids):
    assert tags_of(dataset, row) == set(by_id[id].tags)
  assert len(dataset.people) == len(dataset.events.items) == 0
  assert dataset.spec.of(Part.MOMENT) == ()
  assert len(dataset.tag["text"]) == len(dataset.tags)
  with pytest.raises(UserError, match="no person has a training event"):
    TrainBatches(dataset, SETTINGS)


def test_cold_tags_are_new_and_stay_with_new_products():
  items = shelf()
  dataset = prepared([*items], **DESCRIBED, cold_tags=0.3)
  every = {tag for item in items for tag in item.tags}
  cold = cold_tags(every, 0.3)
  assert cold
  assert set(dataset.new_tags.ids) == cold
  assert set(dataset.tags.ids) == every - cold
  num_items, num_tags = len(dataset.items), len(dataset.tags)
  tags = dataset.product["tags"]
  assert tags[:num_items].max() < num_tags <= tags.max()
  by_id = {item.id: item for item in items}
  for row, id in enumerate((*dataset.items.ids, *dataset.new_items.ids)):
    expected = set(by_id[id].tags) - (cold if row < num_items else set())
    assert tags_of(dataset, row) == expected
    assert row >= num_items or expected
  assert dataset.counts["tags kept out of training"] == len(cold)
  assert dataset.counts["products left without a tag"] > 0
  assert len(dataset.tag["text"]) == len(every)
  assert dataset.spec.num_new_tags == len(cold)


def test_rare_tags_are_left_out():
  items = [
    *(
      Item(f"a{n}", f"title {n}", tags=("often", "twice"[: 5 * (n < 2)] or "x"))
      for n in range(9)
    ),
    Item("b", "other", tags=("once",)),
  ]
  dataset = prepared([*items], catalogue="described", min_tag_items=3)
  assert dataset.tags.ids == ("often", "x")
  assert len(dataset.new_tags) == 0
  assert "b" not in dataset.items
  assert dataset.counts["tags of fewer than 3 products"] == 2
  assert dataset.counts["products left without a tag"] == 1


def test_what_is_said_of_tags_is_read():
  said = [Tag("t1", "red cats"), Tag("nobody has it", "red")]
  plain = prepared([*shelf()], **DESCRIBED)
  told = prepared([*shelf(), *said], **DESCRIBED)
  row = told.tags.index("t1")
  assert (told.tag["text"][row] >= 0).sum() > (
    plain.tag["text"][row] >= 0
  ).sum()
  assert "nobody has it" not in told.tags
  assert told.counts["tags described that no product has"] == 1


def test_cold_products_of_people():
  items, taken = shelf(), events()
  warm = prepared([*items, *taken])
  dataset = prepared([*items, *taken], cold_items=0.2)
  cold = cold_items(items, 0.2)
  num_items = len(dataset.items)
  assert not any(id in cold for id in dataset.items.ids)
  assert (trained_events(dataset) < num_items).all()
  assert (trained_events(dataset) >= 0).all()
  # The same is asked, and the answer may be a new product.
  ids = np.array((*dataset.items.ids, *dataset.new_items.ids))
  warm_ids = np.array((*warm.items.ids, *warm.new_items.ids))
  for split in ("valid", "test"):
    ours, theirs = getattr(dataset, split), getattr(warm, split)
    np.testing.assert_array_equal(ours.people, theirs.people)
    targets = dataset.events.items[ours.events]
    np.testing.assert_array_equal(
      ids[targets], warm_ids[warm.events.items[theirs.events]]
    )
    assert any(ids[target] in cold for target in targets)
    assert (
      np.array([id in cold for id in ids[targets]]) <= (targets >= num_items)
    ).all()
  assert dataset.counts["products kept out of training"] == sum(
    item.id in cold for item in items
  )
  left_out = len(taken) - len(dataset.events.items)
  assert left_out == sum(warm_ids[row] in cold for row in trained_events(warm))
  assert (
    dataset.counts["training events of products kept out of it"] == left_out
  )
  # Cold products that only training events met can be recommended too.
  assert set(dataset.new_items.ids) >= {
    event.item for event in taken if event.item in cold
  }


def test_cold_people_are_asked_and_teach_nothing():
  items, taken = shelf(), events()
  warm = prepared([*items, *taken])
  dataset = prepared([*items, *taken], cold_people=0.4)
  cold = cold_people(dataset.people.ids, 0.4)
  assert 0 < cold.sum() < len(cold)
  trained = dataset.train_ends > dataset.events.offsets[:-1]
  np.testing.assert_array_equal(trained, ~cold)
  for split in ("valid", "test"):
    np.testing.assert_array_equal(
      getattr(dataset, split).events, getattr(warm, split).events
    )
  assert dataset.counts["people kept out of training"] == cold.sum()
  # Products that only they took are new.
  met = {
    event.item
    for event, p in zip(taken, np.repeat(np.arange(12), 8), strict=True)
    if not cold_people([f"p{p}"], 0.4)[0]
  }
  assert set(dataset.items.ids) <= met


def changed(records: list[Item], cold, seed: int) -> list[Item]:
  """The same products; of the cold ones everything else is different."""
  others = shelf(seed)
  return [
    dataclasses.replace(
      other,
      id=item.id,
      group=item.group,
      title=f"{item.title} {other.title}",
      tags=(*other.tags, "of cold ones only"),
    )
    if item.id in cold
    else item
    for item, other in zip(records, others, strict=True)
  ]


@pytest.mark.parametrize("catalogue", ["taken", "described"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_content_of_cold_products_teaches_nothing(catalogue, seed):
  items, taken = shelf(), events(seed)
  cold = cold_items(items, 0.2)
  changes = {
    "catalogue": catalogue,
    "cold_items": 0.2,
    "cold_tags": 0.2 * (seed - 1),
  }
  other = changed(items, cold, seed)
  assert cold_items(other, 0.2) == cold
  one = prepared([*items, *taken], **changes)
  two = prepared([*other, *taken], **changes)
  assert one.items == two.items
  assert one.tags == two.tags
  assert "of cold ones only" in two.new_tags
  assert one.encodings == two.encodings
  for a, b in zip(one.encodings, two.encodings, strict=True):
    np.testing.assert_array_equal(a.weights, b.weights)
  np.testing.assert_array_equal(one.train_ends, two.train_ends)
  np.testing.assert_array_equal(trained_events(one), trained_events(two))
  for name, array in one.product.items():
    # Tags are as wide as new products need.
    width = (
      None
      if array.ndim == 1
      else min(array.shape[1], two.product[name].shape[1])
    )
    rows = (slice(len(one.items)), *([slice(width)] * (array.ndim - 1)))
    np.testing.assert_array_equal(array[rows], two.product[name][rows])
  for name, array in one.tag.items():
    trained = slice(len(one.tags))
    np.testing.assert_array_equal(array[trained], two.tag[name][trained])
  # Batches of training are the same to the last bit.
  a, b = (TrainBatches(d, SETTINGS)(1) for d in (one, two))
  for name in a:
    np.testing.assert_array_equal(a[name], b[name])
  features = ("text", "ngrams", "numbers", "brand", "specs")
  a, b = (ProductBatches(d, SETTINGS, features=features)(1) for d in (one, two))
  for name in a:
    np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("split", ["leave_one_out", "global_time"])
@pytest.mark.parametrize("long", ["newest", "chunks"])
@pytest.mark.parametrize("catalogue", ["taken", "described"])
def test_no_new_product_is_in_a_training_batch(seed, split, long, catalogue):
  dataset = prepared(
    [*shelf(seed), *events(seed)],
    split=split,
    catalogue=catalogue,
    cold_items=0.3,
    cold_people=0.2,
    cold_tags=0.2,
  )
  assert len(dataset.new_items)
  pipeline = dataclasses.replace(SETTINGS, long_histories=long)
  batches = TrainBatches(dataset, pipeline, seed=seed)
  for step in range(int(2 * batches.steps_per_epoch) + 1):
    batch = batches(step)
    for name in ("history_ids", "target_ids"):
      assert batch[name].max() < len(dataset.items)
    assert (batch["target_ids"] != UNKNOWN).sum() == (
      batch["history_segments"] > 0
    ).sum()


def test_questions_hold_new_products_as_they_are():
  dataset = prepared([*shelf(), *events()], cold_items=0.3)
  num_items = len(dataset.items)
  batches = list(
    question_batches(dataset, dataset.test, SETTINGS, batch_people=5)
  )
  for name in ("target_ids", "history_ids", "seen_ids"):
    assert max(batch[name].max() for batch in batches) >= num_items
  for batch in batches:
    for row, question in enumerate(batch["question"]):
      if question != UNKNOWN:
        event = dataset.test.events[question]
        assert batch["target_ids"][row] == dataset.events.items[event]
