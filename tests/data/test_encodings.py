from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.base import get_config
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import DataSettings, from_dict
from tagrec_jax.data.encodings import (
  MAX_TAGS,
  RESERVED,
  Encoding,
  person_encodings,
  product_encodings,
  tag_encodings,
)
from tagrec_jax.data.numbers import MAX_NUMBER
from tagrec_jax.data.records import Item, Person
from tagrec_jax.data.spec import Feature, Kind, Part


def settings(**changes) -> DataSettings:
  config = get_config()
  config.data.update(changes)
  return from_dict(config.to_dict()).data


def learned(items, **changes) -> dict[str, Encoding]:
  encodings = product_encodings(items, settings(**changes))
  return {encoding.feature.name: encoding for encoding in encodings}


def test_nothing_to_learn():
  assert product_encodings([Item("a")], settings()) == ()
  assert product_encodings([], settings()) == ()
  assert person_encodings([Person("p")]) == ()


def test_tags():
  items = [Item("a", tags=("z", "b")), Item("b"), Item("c", tags=("b", "b"))]
  tags = learned(items)["tags"]
  assert tags.feature == Feature("tags", Part.PRODUCT, Kind.ID_SET, 2, 2)
  assert tags.names.ids == ("b", "z")
  np.testing.assert_array_equal(tags.encode(items), [[1, 0], [-1, -1], [0, -1]])
  # One that comes later: unknown tags are passed over.
  later = [Item("d", tags=("new", "z", "other"))]
  np.testing.assert_array_equal(tags.encode(later), [[1, -1]])


def test_tags_beyond_the_limit_are_cut():
  items = [Item("a", tags=tuple(f"t{i:03}" for i in range(MAX_TAGS + 5)))]
  tags = learned(items)["tags"]
  assert tags.feature.width == MAX_TAGS
  np.testing.assert_array_equal(tags.encode(items), [range(MAX_TAGS)])


def test_text_keeps_frequent_words_in_order():
  items = [
    Item("a", title="The red car"),
    Item("b", title="A red Car", description="the best"),
    Item("c", title="red red red once"),
  ]
  text = learned(items, text_vocabulary=2, text_words=3)["text"]
  # red is in three products, car and the in two; of these car comes first.
  assert text.names.ids == ("car", "red")
  assert text.feature == Feature("text", Part.PRODUCT, Kind.TEXT, 2, 3)
  np.testing.assert_array_equal(
    text.encode(items), [[1, 0, -1], [1, 0, -1], [1, 1, 1]]
  )


def test_text_leaves_out_words_of_one_product():
  items = [Item("a", title="red car car"), Item("b", title="red bus")]
  assert learned(items)["text"].names.ids == ("red",)


@pytest.mark.parametrize("off", [{"text_vocabulary": 0}, {"text_words": 0}])
def test_text_can_be_left_out(off):
  items = [Item("a", title="red"), Item("b", title="red")]
  assert learned(items, **off) == {}


def test_numbers_by_hand():
  # Logarithms of 1 + price: 0, 1, 2, 3, 4. Median 2, quartiles 1 and 3.
  items = [Item(str(i), numbers={"price": math.expm1(i)}) for i in range(5)]
  numbers = learned(items)["numbers"]
  assert numbers.feature == Feature("numbers", Part.PRODUCT, Kind.NUMBER, 0, 1)
  found = numbers.encode(items)
  assert found.dtype == np.float32
  np.testing.assert_allclose(found[:, 0], [-1, -0.5, 0, 0.5, 1], atol=1e-4)


def test_numbers_missing_negative_and_extreme():
  items = [
    Item("a", numbers={"year": 1990.0, "price": 1.0}),
    Item("b", numbers={"year": 2000.0, "price": -1.0}),
    Item("c", numbers={"price": 1e308}),
    Item("d", numbers={"price": -1e308, "year": math.inf}),
    Item("e"),
  ]
  numbers = learned(items)["numbers"]
  assert numbers.names.ids == ("price", "year")
  found = numbers.encode(items)
  price, year = found.T
  assert np.isnan(found[4]).all()
  assert np.isnan(year[2:]).all()
  assert price[3] < price[1] < price[0] < price[2]
  assert np.abs(found[~np.isnan(found)]).max() <= MAX_NUMBER


def test_numbers_that_hardly_differ():
  same = [Item(str(i), numbers={"x": 7.0}) for i in range(3)]
  np.testing.assert_array_equal(
    learned(same)["numbers"].encode(same), [[0]] * 3
  )
  # The quartiles are equal; the one other value still stands out.
  other = [
    *(Item(str(i), numbers={"x": 0.0}) for i in range(9)),
    Item("9", numbers={"x": 0.01}),
  ]
  found = learned(other)["numbers"].encode(other)
  assert found[0] == 0
  assert found[9] > 1


@given(
  st.lists(
    st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=9
  )
)
def test_numbers_are_always_bounded(values):
  items = [Item(str(i), numbers={"x": v}) for i, v in enumerate(values)]
  found = learned(items)["numbers"].encode(items)[:, 0]
  known = np.isfinite(values)
  np.testing.assert_array_equal(np.isnan(found), ~known)
  assert (np.abs(found[known]) <= MAX_NUMBER).all()
  # Order stays, up to rounding and clipping.
  order = np.argsort(np.array(values)[known])
  assert (np.diff(found[known][order]) >= 0).all()


def test_classes():
  def brand(id: str, value: str) -> Item:
    return Item(id, categories={"brand": value, "colour": "red"})

  items = [brand("a", "N"), brand("b", "N"), brand("c", "once"), brand("d", "")]
  encodings = learned(items)
  assert list(encodings) == ["brand", "colour"]
  assert encodings["brand"].feature == Feature(
    "brand", Part.PRODUCT, Kind.CATEGORY, 1
  )
  np.testing.assert_array_equal(
    encodings["brand"].encode([*items, Item("e")]), [0, 0, -1, -1, -1]
  )


def test_people():
  people = [Person(str(i), {"gender": "FM"[i % 2]}) for i in range(4)]
  (gender,) = person_encodings(people)
  assert gender.feature == Feature("gender", Part.PERSON, Kind.CATEGORY, 2)
  np.testing.assert_array_equal(
    gender.encode([*people, Person("x", {"gender": "?"}), Person("y")]),
    [0, 1, 0, 1, -1, -1],
  )


@pytest.mark.parametrize("name", ["id", "tags", "text", "numbers"])
def test_names_that_are_taken(name):
  items = [Item(id, categories={name: "x"}) for id in "ab"]
  with pytest.raises(UserError, match=f"category '{name}'.*Fix: rename"):
    learned(items)
