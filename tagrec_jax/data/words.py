"""Words of titles and descriptions in any script."""

from __future__ import annotations

import functools
import re
import unicodedata

# Scripts that write no spaces: each character is a word. Han, kana and their
# extensions and half-width forms.
_SINGLE = (
  "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
  "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_ASCII = re.compile("[a-z0-9]+")
_MAX_CHARACTERS = 10_000
"""More of a text is not looked at; it bounds time and memory."""


def words(text: str) -> list[str]:
  """Lower-case words in order; digits are words, punctuation is not.

  Equal looking texts give equal words (NFC), and marks above, below and beside
  letters stay with their letter.
  """
  text = text[:_MAX_CHARACTERS]
  if text.isascii():  # the same words in a tenth of the time
    return _ASCII.findall(text.lower())
  text = unicodedata.normalize("NFC", text)
  return _pattern().findall(text.lower())


@functools.cache
def _pattern() -> re.Pattern[str]:
  # `\w` has no marks, without which Hindi or Arabic words would fall apart.
  marks = "".join(
    character
    for character in map(chr, range(0x300, 0x20000))
    if unicodedata.category(character).startswith("M")
  )
  return re.compile(f"[{_SINGLE}]|(?:[^\\W_{_SINGLE}][{marks}]*)+")
