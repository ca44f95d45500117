"""One form for every text, whoever wrote it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

# Control, format (zero-width, direction) and lone surrogate characters.
_DROPPED = frozenset({"Cc", "Cf", "Cs"})

_ASCII_DROPPED = {
  number: None
  for number in range(128)
  if unicodedata.category(chr(number)) in _DROPPED and not chr(number).isspace()
}

# Accents on one letter. No language needs more, and sorting thousands of them,
# as NFC must, takes their number squared.
_MOST_MARKS = 30


def normalise(text: str, longest: int) -> str:
  """NFC, without control and zero-width characters, with single spaces.

  Letter case stays. Applied to its own result it changes nothing.

  Args:
    text: anything, of any length.
    longest: characters kept. Only the first 4 * longest are looked at, so a
      text of many megabytes costs no more than a long one.
  """
  text = text[: 4 * longest]
  if text.isascii():  # the same in a tenth of the time
    text = text.translate(_ASCII_DROPPED)
  else:
    # Before NFC, or what they kept apart would be joined the next time.
    text = unicodedata.normalize("NFC", "".join(_kept(text)))
  return " ".join(text.split())[:longest].rstrip()


def _kept(text: str) -> Iterator[str]:
  marks = 0
  for c in text:
    if unicodedata.category(c) in _DROPPED and not c.isspace():
      continue
    # Counted in decomposed form, which NFC leaves as it is.
    run = marks
    for part in unicodedata.normalize("NFD", c):
      run = run + 1 if unicodedata.combining(part) else 0
    if run <= _MOST_MARKS:
      marks = run
      yield c
