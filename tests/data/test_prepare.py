from __future__ import annotations

import dataclasses
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from configs.base import get_config
from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import DataSettings, from_dict
from tagrec_jax.data.clean import clean
from tagrec_jax.data.dataset import NO_TIME, Dataset
from tagrec_jax.data.fingerprint import fingerprint
from tagrec_jax.data.prepare import from_cleaned, open_or_prepare
from tagrec_jax.data.records import Event, Item, Person, Record
from tagrec_jax.data.spec import Feature, Kind, Part

DAY = 86_400


def settings(**changes) -> DataSettings:
  config = get_config()
  config.data.min_person_events = 1
  config.data.update(changes)
  return from_dict(config.to_dict()).data


def films() -> list[Record]:
  """Two people with three or more films, one with two."""
  return [
    Item("a", "Alpha film", tags=("red", "slow"), categories={"brand": "N"}),
    Item(
      "b",
      "Beta film",
      tags=("red",),
      numbers={"price": 9.99},
      categories={"brand": "N"},
    ),
    Item("c", tags=("only c",), numbers={"price": 3.0}),
    Item("z", "never taken", tags=("only z",)),
    Person("q", {"gender": "F"}),
    Person("p", {"gender": "F"}),
    Person("nobody", {"gender": "F"}),
    Event("q", "b", 30 * DAY),
    Event("p", "a", 10 * DAY),
    Event("p", "a", 20 * DAY + 7200),
    Event("p", "c", 50 * DAY),
    Event("q", "a", 31 * DAY),
    Event("q", "b", 32 * DAY),
    Event("q", "a", 33 * DAY),
    Event("r", "c", 1 * DAY),
    Event("r", "b", 2 * DAY),
  ]


def prepared(records: list[Record], **changes) -> Dataset:
  checked = settings(**changes)
  return from_cleaned("films", clean(records, checked), checked)


def test_by_hand():
  dataset = prepared(films())
  assert dataset.people.ids == ("p", "q", "r")
  np.testing.assert_array_equal(dataset.events.offsets, [0, 3, 7, 9])
  assert dataset.items.ids == ("a", "b", "c")
  np.testing.assert_array_equal(
    dataset.events.items, [0, 0, 2, 1, 0, 1, 0, 2, 1]
  )
  np.testing.assert_array_equal(dataset.train_ends, [1, 5, 9])
  np.testing.assert_array_equal(dataset.valid.people, [0, 1])
  np.testing.assert_array_equal(dataset.valid.events, [1, 5])
  np.testing.assert_array_equal(dataset.test.events, [2, 6])
  assert dataset.titles == ("Alpha film", "Beta film", "c")
  assert dataset.tags.ids == ("only c", "red", "slow")
  np.testing.assert_array_equal(
    dataset.product["tags"], [[1, 2], [1, -1], [0, -1]]
  )
  np.testing.assert_array_equal(
    dataset.product["text"][:, 0],
    [0, 0, UNKNOWN],  # 'film'
  )
  np.testing.assert_array_equal(dataset.product["brand"], [0, 0, -1])
  np.testing.assert_array_equal(dataset.person["gender"], [0, 0, -1])
  assert dataset.spec.of(Part.PRODUCT) == (
    Feature("tags", Part.PRODUCT, Kind.ID_SET, 3, 2),
    Feature("text", Part.PRODUCT, Kind.TEXT, 1, 8),
    Feature("numbers", Part.PRODUCT, Kind.NUMBER, 0, 1),
    Feature("brand", Part.PRODUCT, Kind.CATEGORY, 1),
  )
  assert [f.name for f in dataset.spec.of(Part.MOMENT)] == [
    "hour",
    "weekday",
    "month",
    "gap",
  ]
  check(dataset)


def check(dataset: Dataset) -> None:
  """What the docstrings of dataset.py and spec.py promise."""
  spec, events = dataset.spec, dataset.events
  assert (spec.num_items, spec.num_tags) == (
    len(dataset.items),
    len(dataset.tags),
  )
  assert (spec.num_new_items, spec.num_new_tags) == (
    len(dataset.new_items),
    len(dataset.new_tags),
  )
  num_items = spec.num_items + spec.num_new_items
  num_tags = spec.num_tags + spec.num_new_tags
  assert len(dataset.titles) == num_items
  assert events.items.max(initial=UNKNOWN) < num_items
  assert events.offsets.dtype == events.times.dtype == np.int64
  assert events.items.dtype == np.int32
  assert events.offsets[0] == 0
  assert events.offsets[-1] == len(events.items) == len(events.times)
  assert dataset.train_ends.dtype == np.int64
  for part, arrays, rows in (
    (Part.PRODUCT, dataset.product, num_items),
    (Part.TAG, dataset.tag, num_tags),
    (Part.PERSON, dataset.person, len(dataset.people)),
  ):
    assert list(arrays) == [feature.name for feature in spec.of(part)]
    for feature in spec.of(part):
      array = arrays[feature.name]
      number, single = Kind.NUMBER, Kind.CATEGORY
      assert array.dtype == (np.float32 if feature.kind == number else np.int32)
      assert array.shape == (
        (rows,) if feature.kind == single else (rows, feature.width)
      )
      if feature.kind != number:
        assert array.min(initial=UNKNOWN) >= UNKNOWN
        trained = slice(spec.num_items if part is Part.PRODUCT else None)
        assert array[trained].max(initial=UNKNOWN) < feature.size
  for rows in (dataset.valid_items, dataset.test_items):
    assert rows.dtype == np.int32
    assert (rows >= spec.num_items).all()
    assert (np.diff(rows) > 0).all()
    if len(rows):
      tags = dataset.product["tags"]
      assert (tags[rows, 0] >= 0).all()
      assert tags[: spec.num_items].max() < spec.num_tags
      assert tags.max() < num_tags
  # The vocabulary is that of training.
  trained = np.zeros(len(events.items), bool)
  for start, end in zip(events.offsets, dataset.train_ends, strict=False):
    trained[start:end] = True
  np.testing.assert_array_equal(
    np.unique(events.items[trained]), np.arange(spec.num_items)
  )
  assert dataset.fingerprint == fingerprint(dataset)


def test_a_product_of_held_out_events_only_is_new():
  records = [
    Event("p", item, day) for day, item in enumerate(["a", "b", "new", "newer"])
  ]
  dataset = prepared(
    [Item("new", tags=("t",), categories={"brand": "N"}), *records]
  )
  assert dataset.items.ids == ("a", "b")
  assert dataset.new_items.ids == ("new",)  # of 'newer' nothing is known
  assert dataset.titles == ("a", "b", "new")
  np.testing.assert_array_equal(dataset.events.items, [0, 1, 2, UNKNOWN])
  assert dataset.counts["events of products not in training"] == 2
  # Nothing of it is learned either.
  assert len(dataset.tags) == 0
  assert len(dataset.new_tags) == 0
  assert dataset.product == {}
  check(dataset)


def test_by_time_people_who_come_later_teach_nothing():
  records = [
    *(Event("old", "ab"[i % 2], i * DAY) for i in range(10)),
    *(Event(id, "a", 10 * DAY) for id in ("new", "newer")),
    Person("old", {"gender": "F"}),
    *(Person(id, {"gender": "M"}) for id in ("new", "newer")),
  ]
  dataset = prepared(records, split="global_time", held_out_fraction=0.2)
  assert dataset.people.ids == ("new", "newer", "old")
  assert set(dataset.valid.people) == {2}
  assert dataset.person == {}  # 'F' was seen once, 'M' not while training
  check(dataset)


def test_order_is_all_that_some_data_has():
  order = np.random.default_rng(0).integers(0, 3, 90)
  records = [
    Event(person, "abc"[item]) for item in order for person in ("p", "q")
  ]
  dataset = prepared(records)
  assert dataset.items.ids == ("a", "b", "c")
  np.testing.assert_array_equal(dataset.events.items, [*order, *order])
  assert (dataset.events.times == NO_TIME).all()
  assert dataset.spec.of(Part.MOMENT) == ()
  with pytest.raises(UserError, match="without times"):
    prepared(records, split="global_time")


def test_nothing_to_train_on():
  with pytest.raises(UserError, match="none to train on"):
    prepared([Item("a")])


def test_too_many_tags_are_counted():
  many = Item("a", tags=tuple(f"t{i}" for i in range(70)))
  dataset = prepared([many, Event("p", "a", 1)])
  assert dataset.counts["products with more than 64 tags"] == 1
  assert dataset.spec.num_tags == 70
  check(dataset)


def test_fingerprint_sees_everything():
  dataset = prepared(films())
  events = dataset.events
  changed = {
    "name": "other",
    "spec": dataclasses.replace(dataset.spec, num_tags=4),
    "items": dataset.people,
    "tags": dataset.people,
    "people": dataset.items,
    "titles": dataset.titles[::-1],
    "events": dataclasses.replace(events, times=events.times + 1),
    "train_ends": dataset.train_ends.astype(np.int32),
    "valid": dataset.test,
    "test": dataset.valid,
    "product": dataset.product | {"brand": dataset.product["brand"] - 1},
    "person": {"sex": dataset.person["gender"]},
    "counts": {"repeated event": 1},
    "encodings": dataset.encodings[1:],
    "new_items": dataset.people,
    "new_tags": dataset.people,
    "valid_items": np.zeros(1, np.int32),
    "test_items": np.ones(1, np.int32),
    "tag": {"text": dataset.product["text"]},
  }
  fields = {field.name for field in dataclasses.fields(dataset)}
  assert set(changed) == fields - {"fingerprint"}
  seen = {
    fingerprint(dataclasses.replace(dataset, **{name: value}))
    for name, value in changed.items()
  }
  assert len(seen) == len(changed)
  assert dataset.fingerprint not in seen


GOLDEN = "fcbc71c1dd5182e6d10fc46fbd914bda4ba3ff411a6eae350117e91fdf22aabf"
"""Of `films()`. If it changes on purpose, raise prepare.VERSION too."""


def test_fingerprint_is_the_same_everywhere():
  """In processes with other hash seeds, and in every version of the code."""
  program = f"""
import sys
sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})
import test_prepare
print(test_prepare.prepared(test_prepare.films()).fingerprint)
"""
  for seed in ("1", "2"):
    done = subprocess.run(
      [sys.executable, "-c", program],
      cwd=pathlib.Path(__file__).parents[2],
      env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
      capture_output=True,
      check=True,
      text=True,
    )
    assert done.stdout.strip() == GOLDEN


# Of all products, 1 and 33 are taken only in held-out events.
@pytest.mark.parametrize(
  ("folder", "people", "events", "items", "not_in_training"),
  [
    ("lastfm", 1_090, 52_551, 3_646 - 1, 2),
    pytest.param(
      *("amazon_beauty", 22_363, 198_502, 12_101 - 33, 138),
      marks=pytest.mark.nightly,
    ),
  ],
)
def test_real_data(
  data_folder, tmp_path, folder, people, events, items, not_in_training
):
  from tagrec_jax.data.sources.amazon_s3rec import S3Rec

  checked = settings(
    folder=str(data_folder / folder), cache_dir=str(tmp_path / "cache")
  )
  dataset = open_or_prepare(S3Rec.from_settings(checked), checked)
  check(dataset)
  assert len(dataset.people) == people
  assert len(dataset.valid.people) == len(dataset.test.people) == people
  assert len(dataset.events.items) == events
  assert len(dataset.items) == items
  asked = dataset.events.items[dataset.test.events]
  not_trained = (asked == UNKNOWN) | (asked >= items)
  assert not_trained.sum() == not_in_training
