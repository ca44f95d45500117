from __future__ import annotations

import collections
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

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
from tagrec_jax.data.records import Item, Person, Tag
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


@pytest.mark.parametrize("name", RESERVED)
def test_names_that_are_taken(name):
  for kind, said in {
    "category": {"categories": {name: "x"}},
    "set": {"sets": {name: ("x",)}},
  }.items():
    items = [Item(id, **said) for id in "ab"]
    with pytest.raises(UserError, match=f"{kind} '{name}'.*Fix: rename"):
      learned(items)


def test_a_category_and_a_set_of_one_name():
  items = [Item(id, categories={"x": "1"}, sets={"x": ("1",)}) for id in "ab"]
  with pytest.raises(UserError, match="set 'x'.*used once"):
    learned(items)


def test_sets():
  items = [
    Item("a", sets={"specs": ("vr", "co-op", "once"), "empty": ()}),
    Item("b", sets={"specs": ("co-op", "vr", "vr")}),
    Item("c", sets={"specs": ("vr", "else"), "own": ("d",)}),
    Item("d"),
  ]
  encodings = learned(items)
  assert list(encodings) == ["specs"]
  specs = encodings["specs"]
  assert specs.feature == Feature("specs", Part.PRODUCT, Kind.ID_SET, 2, 2)
  assert specs.names.ids == ("co-op", "vr")
  np.testing.assert_array_equal(
    specs.encode(items), [[1, 0], [0, 1], [1, -1], [-1, -1]]
  )


GAMES = [
  Item("a", title="red racing game", description="fast cars"),
  Item("b", title="a racing game", description="slow cars, redCars"),
]


def test_ngrams():
  ngrams = learned(GAMES, ngram_buckets=4096, ngram_width=4)["ngrams"]
  assert ngrams.feature == Feature("ngrams", Part.PRODUCT, Kind.NGRAMS, 4096, 4)
  assert ngrams.weights is not None
  assert ngrams.weights.shape == (4096,)
  assert ngrams.ngrams is not None
  assert np.count_nonzero(ngrams.weights) == len(ngrams.ngrams)
  rows = ngrams.encode(GAMES)
  assert rows.shape == (2, 4)
  assert (ngrams.weights[rows] > 0).all()
  assert "ngrams" not in learned([Item("a"), Item("b")], ngram_buckets=64)
  assert "ngrams" not in learned(GAMES)


def test_tags_are_read_as_products_are():
  of_products = product_encodings(
    GAMES, settings(ngram_buckets=4096, ngram_width=99)
  )
  tags = [
    Tag("works-with::Racing_Game"),
    Tag("CarsGame", "Racing is meant."),
    Tag("unheard"),
  ]
  text, ngrams, title = tag_encodings(tags, of_products)
  assert text.feature.part == ngrams.feature.part == Part.TAG
  # The words of products, as many as the longest of these tags needs.
  assert text.names.ids == ("cars", "game", "racing")
  np.testing.assert_array_equal(
    text.encode(tags), [[2, 1, -1], [0, 1, 2], [-1] * 3]
  )
  assert ngrams.feature.size == 4096
  (of_items,) = (e for e in of_products if e.feature.name == "ngrams")
  assert ngrams.weights is of_items.weights
  assert ngrams.ngrams is of_items.ngrams
  rows = ngrams.encode(tags)
  # 'racing game' is in titles of products too.
  racing = set(rows[0]) - {-1}
  assert racing <= set(of_items.encode(GAMES[1:])[0])
  assert len(racing) == 3
  # Of the name alone: both words, and their parts.
  assert title.feature.part == Part.TAG
  assert (title.encode(tags)[0] >= 0).sum() > 10
  assert rows.shape[1] == max((rows >= 0).sum(1))
  assert tag_encodings([], of_products) == ()
  assert tag_encodings(tags, ()) == ()


def test_pictures_and_clips(tmp_path):
  picture = tmp_path / "a.png"
  Image.new("RGB", (4, 4), "red").save(picture)
  items = [
    Item("a", image=str(picture), audio=str(tmp_path / "none.wav")),
    Item("b", image=str(tmp_path / "none.png")),
    Item("c"),
  ]
  assert learned(items) == {}
  assert learned(items[2:], image_size=4, audio_seconds=1.0) == {}
  encodings = learned(items, image_size=4, audio_seconds=0.5)
  image, audio = encodings["image"], encodings["audio"]
  assert image.feature == Feature("image", Part.PRODUCT, Kind.IMAGE, 0, 4)
  assert audio.feature == Feature("audio", Part.PRODUCT, Kind.AUDIO, 0, 8000)
  counts: collections.Counter[str] = collections.Counter()
  pixels = image.encode(items, counts)
  assert pixels[0, 0, 0].tolist() == [255, 1, 1]
  assert not pixels[1:].any()
  assert (audio.encode(items, counts) == -32_768).all()
  assert counts == {"picture: no file": 1, "clip: no file": 1}


def test_tokens(tmp_path):
  tokenizers = pytest.importorskip("tokenizers")
  model = tokenizers.models.WordLevel({"?": 0, "red": 1, "game": 2}, "?")
  made = tokenizers.Tokenizer(model)
  made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
  made.save(str(tmp_path / "tokenizer.json"))
  of_products = product_encodings(
    GAMES, settings(pretrained_text=str(tmp_path), pretrained_tokens=4)
  )
  (tokens,) = (e for e in of_products if e.feature.name == "tokens")
  assert tokens.feature == Feature("tokens", Part.PRODUCT, Kind.TEXT, 3, 4)
  np.testing.assert_array_equal(
    tokens.encode([*GAMES, Item("c")]),
    [[1, 0, 2, 0], [0, 0, 2, 0], [-1] * 4],
  )
  # The file is needed no more.
  (tmp_path / "tokenizer.json").unlink()
  tags = [Tag("red::game"), Tag("game")]
  of_tags = {e.feature.name: e for e in tag_encodings(tags, of_products)}
  np.testing.assert_array_equal(
    of_tags["tokens"].encode(tags), [[1, 2], [2, -1]]
  )


def test_absurd_prices_move_nothing():
  prices = [*(float(price) for price in range(1, 100)), 1e15, math.inf]
  items = [Item(str(p), numbers={"price": p}) for p in prices]
  sane, absurd = learned(items[:99])["numbers"], learned(items)["numbers"]
  np.testing.assert_allclose(
    absurd.encode(items[:99]), sane.encode(items[:99]), atol=0.05
  )
  assert absurd.encode(items)[-2:, 0].tolist()[0] == MAX_NUMBER
  assert np.isnan(absurd.encode(items)[-1, 0])
