from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagrec_jax.data import ngrams

SIZE = 2**20  # large enough that no two n-grams of these tests share a row


def used(texts: list[ngrams.Text], size: int = SIZE) -> list[set[int]]:
  """The rows of each text, where every row that is met has a weight."""
  everything = ngrams.rows(texts, np.ones(size, np.float32), 2000)
  return [set(row[row >= 0].tolist()) for row in everything]


def count(title: str, description: str = "") -> int:
  (found,) = used([(title, description)])
  return len(found)


def test_what_is_counted():
  assert count("") == 0
  assert count("", "red") == 1
  assert count("", "red car") == 3  # red, car, red car
  assert count("", "red car red car") == 4  # and 'car red'
  # As a word, as a word of the title, and of '<ab>': <ab ab> <ab>.
  assert count("ab") == 5
  assert count("a") == 2  # one character has no parts
  # '<perl>' has 4 + 3 + 2 parts.
  assert count("perl") == 11


def test_order_matters_within_pairs_only():
  red_car, car_red, both = used(
    [("", "red car"), ("", "car red"), ("", "red, car")]
  )
  assert red_car == both
  assert len(red_car & car_red) == 2


def test_words_of_a_title_are_seen_in_descriptions_too():
  title, description, other = used(
    [("libfoo-perl", ""), ("", "libfoo perl"), ("libbar-perl", "")]
  )
  assert description < title
  # 'perl' with its 11, and of '<libfoo>': <li lib <lib.
  assert len(title & other) == 11 + 3
  assert not used([("zzz", "")])[0] & title


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


def test_chinese_titles_are_marked_as_titles():
  title, description = used([("红色", ""), ("", "红色")])
  assert description < title
  assert len(title) == 5  # 红, 色, 红色, and both characters as of a title


def test_weights_by_hand():
  texts = [("", "a b"), ("", "a c"), ("", "a"), ("", "b")]
  weights = ngrams.weights(texts, SIZE)
  (a,), (b,), (c,) = used([("", "a"), ("", "b"), ("", "c")])
  assert weights.dtype == np.float32
  assert weights[a] == np.float32(round(1 + np.log(5 / 4), 4))
  assert weights[b] == np.float32(round(1 + np.log(5 / 3), 4))
  # Met once: no weight, and not used afterwards.
  assert weights[c] == 0
  assert np.count_nonzero(weights) == 2
  np.testing.assert_array_equal(
    ngrams.rows([("", "c a d b a"), ("", "c d")], weights, 3),
    [[b, a, -1], [-1, -1, -1]],
  )


def test_the_rarest_are_kept():
  texts = [("", f"the {word}") for word in ("x", "x", "y", "y", "z")]
  weights = ngrams.weights(texts, SIZE)
  rows = ngrams.rows(texts[:1], weights, 1)
  assert rows.shape == (1, 1)
  assert weights[rows[0, 0]] == weights.max()


def test_repeating_a_word_in_one_text_is_not_two_texts():
  assert not ngrams.weights([("", "a a a")], SIZE).any()


def test_nothing():
  assert not ngrams.weights([], 8).any()
  assert ngrams.rows([], np.ones(8, np.float32), 4).shape == (0, 4)
  empty = ngrams.rows([("", "")], np.ones(8, np.float32), 4)
  np.testing.assert_array_equal(empty, [[-1] * 4])


@given(
  st.lists(st.tuples(st.text(), st.text()), max_size=5),
  st.integers(1, 50),
  st.integers(1, 20),
)
def test_rows_are_distinct_rarest_first_and_padded(texts, size, width):
  weights = ngrams.weights([*texts, *texts], size)
  table = ngrams.rows(texts, weights, width)
  assert table.dtype == np.int32
  assert table.shape == (len(texts), width)
  whole = ngrams.rows(texts, weights, size)
  for row, text in zip(table, texts, strict=True):
    found = row[row >= 0]
    assert (row[len(found) :] == -1).all()
    assert len(set(found)) == len(found)
    assert (np.diff(weights[found]) <= 0).all()
    assert (weights[found] > 0).all()
    # A text alone is read as among others.
    np.testing.assert_array_equal(ngrams.rows([text], weights, width)[0], row)
  np.testing.assert_array_equal(whole[:, :width], table[:, :size])


def test_more_texts_than_are_read_at_a_time():
  texts = [("", f"w{number} common") for number in range(2500)]
  rows = ngrams.rows(texts, np.ones(SIZE, np.float32), 4)
  for place in (0, 999, 1000, 2499):
    assert set(rows[place]) - {-1} == used([texts[place]])[0]
  (common,) = used([("", "common")])[0]
  assert ngrams.weights(texts, SIZE)[common] == np.float32(
    1 + round(float(np.log(2501 / 2501)), 4)
  )


def test_long_texts_cost_little():
  start = time.monotonic()
  texts = [("x" * 1_000_000, "ab " * 3_000_000)] * 2
  assert ngrams.rows(texts, np.ones(64, np.float32), 8).shape == (2, 8)
  assert time.monotonic() - start < 1
