from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagrec_jax.data.words import words


@pytest.mark.parametrize(
  ("text", "expected"),
  [
    ("Toy Story (1995)", ["toy", "story", "1995"]),
    ("snake_case, e-mail; don't", ["snake", "case", "e", "mail", "don", "t"]),
    ("GRÜN Ёлка", ["grün", "ёлка"]),
    ("cafe\u0301", ["café"]),  # a letter and a mark are one character
    ("हिन्दी हैं", ["हिन्दी", "हैं"]),  # vowel signs are marks
    ("千と千尋 the 2nd", ["千", "と", "千", "尋", "the", "2nd"]),
    ("ﾃﾚﾋﾞ𠮷", ["ﾃ", "ﾚ", "ﾋ", "ﾞ", "𠮷"]),  # half width, beyond 16 bits
    ("영화 보기", ["영화", "보기"]),  # Korean writes spaces
    ("שלום 🙂!", ["שלום"]),
    ("", []),
  ],
)
def test_by_hand(text, expected):
  assert words(text) == expected


@given(st.text())
def test_form_and_case_do_not_matter(text):
  for form in ("NFC", "NFD"):
    assert words(unicodedata.normalize(form, text)) == words(text)
  assert all(words(word) == [word] for word in words(text))


def test_a_long_text_costs_little():
  start = time.monotonic()
  assert len(words("a" * 10_000_000)) == 1
  assert len(words("ab " * 3_000_000)) < 10_000
  assert time.monotonic() - start < 1
