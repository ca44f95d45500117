from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagrec_jax.data import ngrams

SIZE = 100_000  # more than there are n-grams in these tests


def used(
  texts: list[ngrams.Text], read: ngrams.Reader = ngrams.of_text
) -> list[set[int]]:
  """The rows of each text, where every n-gram that is met has one."""
  known, weights = ngrams.learn([*texts, *texts], SIZE, read)
  table = ngrams.rows(texts, known, weights, 2000, read)
  return [set(row[row >= 0].tolist()) for row in table]


def count(title: str, description: str = "", read=ngrams.of_text) -> int:
  (found,) = used([(title, description)], read)
  return len(found)


def test_what_is_counted():
  assert count("") == 0
  assert count("", "red") == count("red") == 1
  assert count("red", "car") == 3  # red, car, red car
  assert count("", "red car red car") == 4  # and 'car red'


def test_what_is_counted_of_titles():
  read = ngrams.of_title
  assert count("", "red", read) == 0
  # As a word, and of '<ab>': <ab ab> <ab>.
  assert count("ab", "red", read) == 4
  assert count("a", "", read) == 1  # one character has no parts
  # '<perl>' has 4 + 3 + 2 parts.
  assert count("perl", "", read) == 10


def test_order_matters_within_pairs_only():
  red_car, car_red, both = used(
    [("", "red car"), ("", "car red"), ("", "red, car")]
  )
  assert red_car == both
  assert len(red_car & car_red) == 2


def test_words_of_a_title_are_seen_in_descriptions_too():
  title, description = used([("libfoo-perl", ""), ("", "libfoo perl")])
  assert title == description


def test_titles_share_parts_of_words():
  names = [("libfoo-perl", ""), ("libbar-perl", ""), ("zzz", "")]
  name, other, strange = used(names, ngrams.of_title)
  # 'perl' with its 10, and of '<libfoo>': <li lib <lib.
  assert len(name & other) == 10 + 3
  assert not strange & name


@pytest.mark.parametrize(
  ("a", "b", "shared"),
  [
    # Each character is a word, pairs of them stand for what they mean.
    ("红色汽车", "蓝色汽车", 5),  # 色 汽 车 色汽 汽车
    ("红色 car", "car 红色", 4),  # 红 色 红色 car
    ("千と千尋", "千尋", 3),  # 千 尋 千尋
  ],
)
def test_scripts_without_spaces(a, b, shared):
  first, second = used([("", a), ("", b)])
  assert len(first & second) == shared


def test_chinese_titles_are_read_by_their_characters():
  (title,) = used([("红色", "")], ngrams.of_title)
  assert len(title) == 2


def test_weights_by_hand():
  texts = [("", "a b"), ("", "a c"), ("", "a"), ("", "b")]
  known, weights = ngrams.learn(texts, 5)
  assert known.dtype == np.uint32
  assert (np.diff(known.astype(np.int64)) > 0).all()
  assert weights.dtype == np.float32
  # Those met once have no row; three rows are left over.
  ((a,),) = ngrams.rows([("", "a")], known, weights, 1)
  ((b,),) = ngrams.rows([("", "b")], known, weights, 1)
  assert {a, b} == {0, 1}
  assert weights[a] == np.float32(round(1 + np.log(5 / 4), 4))
  assert weights[b] == np.float32(round(1 + np.log(5 / 3), 4))
  assert not weights[2:].any()
  # The rarest first.
  np.testing.assert_array_equal(
    ngrams.rows([("", "c a d b a"), ("", "c d")], known, weights, 3),
    [[b, a, -1], [-1, -1, -1]],
  )
  np.testing.assert_array_equal(
    ngrams.rows([("", "a b")], known, weights, 1), [[b]]
  )


def test_those_of_most_texts_have_rows():
  texts = [("", "a")] * 4 + [("", "b")] * 2 + [("", "c")] * 3
  known, weights = ngrams.learn(texts, 2)
  assert len(known) == 2
  table = ngrams.rows([("", "a"), ("", "b"), ("", "c")], known, weights, 1)
  assert (table[:, 0] >= 0).tolist() == [True, False, True]


def test_repeating_a_word_in_one_text_is_not_two_texts():
  known, weights = ngrams.learn([("", "a a a")], SIZE)
  assert not len(known)
  assert not weights.any()


def test_nothing():
  known, weights = ngrams.learn([], 8)
  assert not len(known)
  assert weights.tolist() == [0] * 8
  assert ngrams.rows([], known, weights, 4).shape == (0, 4)
  empty = ngrams.rows([("", "a")], known, weights, 4)
  np.testing.assert_array_equal(empty, [[-1] * 4])


@given(
  st.lists(st.tuples(st.text(), st.text()), max_size=5),
  st.integers(1, 50),
  st.integers(1, 20),
)
def test_rows_are_distinct_rarest_first_and_padded(texts, size, width):
  known, weights = ngrams.learn([*texts, *texts], size)
  assert len(known) <= size
  table = ngrams.rows(texts, known, weights, width)
  assert table.dtype == np.int32
  assert table.shape == (len(texts), width)
  whole = ngrams.rows(texts, known, weights, size)
  for row, text in zip(table, texts, strict=True):
    found = row[row >= 0]
    assert (row[len(found) :] == -1).all()
    assert len(set(found)) == len(found)
    assert (np.diff(weights[found]) <= 0).all()
    assert (weights[found] > 0).all()
    # A text alone is read as among others.
    alone = ngrams.rows([text], known, weights, width)
    np.testing.assert_array_equal(alone, row[None])
  np.testing.assert_array_equal(whole[:, :width], table[:, :size])


@pytest.mark.parametrize("waiting", [1, 2**22])
def test_more_texts_than_are_read_at_a_time(monkeypatch, waiting):
  monkeypatch.setattr(ngrams, "_WAITING", waiting)
  texts = [("", f"w{number % 1250} common") for number in range(2500)]
  known, weights = ngrams.learn(texts, SIZE)
  assert len(known) == 1250 * 2 + 1
  table = ngrams.rows(texts, known, weights, 4)
  np.testing.assert_array_equal(table[:1250], table[1250:])
  assert ((table >= 0).sum(1) == 3).all()
  common = table[0, 2]
  assert (table[:, 2] == common).all()
  assert weights[common] == 1
  rare = np.float32(round(1 + np.log(2501 / 3), 4))
  assert (weights[table[:, :2]] == rare).all()


def test_long_texts_cost_little():
  start = time.monotonic()
  texts = [("x" * 1_000_000, "ab " * 3_000_000)] * 2
  known, weights = ngrams.learn(texts, 64)
  assert ngrams.rows(texts, known, weights, 8).shape == (2, 8)
  assert time.monotonic() - start < 1
