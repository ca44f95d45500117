"""One form for every text, whoever wrote it."""

from __future__ import annotations

import unicodedata

# Control, format (zero-width, direction) and lone surrogate characters.
_DROPPED = frozenset({"Cc", "Cf", "Cs"})


def normalise(text: str, longest: int) -> str:
  """NFC, without control and zero-width characters, with single spaces.

  Letter case stays. Applied to its own result it changes nothing.

  Args:
    text: anything, of any length.
    longest: characters kept. Only the first 4 * longest are looked at, so a
      text of many megabytes costs no more than a long one.
  """
  text = text[: 4 * longest]
  if not text.isprintable():
    # Before NFC, or what they kept apart would be joined the next time.
    text = "".join(
      c for c in text if c.isspace() or unicodedata.category(c) not in _DROPPED
    )
  text = " ".join(unicodedata.normalize("NFC", text).split())
  return text[:longest].rstrip()
