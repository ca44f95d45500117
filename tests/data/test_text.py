from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagrec_jax.data.text import normalise

# Characters that meddle with each other: letters, accents, spaces, joiners.
tricky = st.text(
  st.sampled_from("aé\u0301\u0323\u200b\u200d\u00a0\u2000\n\t \x00\ud800가ᄀ")
)


@pytest.mark.parametrize(
  ("text", "expected"),
  [
    ("Toy  Story\r\n", "Toy Story"),
    ("iPHONE", "iPHONE"),
    ("e\u0301", "é"),
    ("e\u200b\u0301", "é"),
    ("zero\u200bwidth\ufeff", "zerowidth"),
    ("a\x00\x07b\ud800", "ab"),
    ("\u202eשלום\u202c", "שלום"),
    ("👍🏽 ok", "👍🏽 ok"),
    ("a\u00a0b\u2028c", "a b c"),
    ("abc def", "abc def"),
  ],
)
def test_by_hand(text, expected):
  assert normalise(text, 7 + len(expected)) == expected


@given(st.text() | tricky, st.integers(1, 8))
def test_changes_nothing_the_second_time(text, longest):
  once = normalise(text, longest)
  assert normalise(once, longest) == once
  assert len(once) <= longest
  assert unicodedata.is_normalized("NFC", once)
  once.encode()


def test_cut_without_a_space_at_the_end():
  assert normalise("abc def", 4) == "abc"


@given(
  st.text(st.sampled_from("aé\u0301\u0323\u0344\ufb2c\u200b"), min_size=60),
  st.integers(1, 100),
)
def test_heaps_of_accents_change_nothing_the_second_time(text, longest):
  once = normalise(text, longest)
  assert normalise(once, longest) == once


@pytest.mark.parametrize("unit", ["a", "a\u0301", "\u0323\u0301", "\u200b "])
def test_megabytes_cost_no_more_than_a_long_text(unit):
  text = unit * 1_000_000
  begin = time.process_time()
  normalise(text, 10_000)
  assert time.process_time() - begin < 0.5


@given(st.text(st.characters(max_codepoint=127), max_size=20))
def test_ascii_has_the_form_it_has_beside_other_letters(text):
  words = normalise(text, 100).split()
  assert normalise(f"é {text}", 100) == " ".join(["é", *words])
