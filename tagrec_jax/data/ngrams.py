"""Titles and descriptions as sets of hashed n-grams.

Words, pairs of words in a row, words of the title once more as such, and runs
of 3 to 5 characters in words of the title, which see the 'lib' and the 'perl'
of 'libfoo-perl'. Each is a row of a table of fixed size, so that nothing but
the size must be known of texts that come later.
Source: Joulin et al., Bag of Tricks for Efficient Text Classification, 2016.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float32, Int32, Int64

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.data.words import words

MIN_RECORDS = 2
"""A row met in fewer records of training has no weight and is never used."""

_TITLE = zlib.crc32(b"of the title ")
_PART = zlib.crc32(b"part of a word ")
_LONGEST_WORD = 40  # characters of which parts are taken
_CHUNK = 1000  # texts at a time

Text = tuple[str, str]
"""A title and a description."""


def weights(texts: Sequence[Text], size: int) -> Float32[np.ndarray, " size"]:
  """How much each row of the table tells: 1 + log((1 + N) / (1 + n)).

  N is the number of texts, n of those in which the row is met. 0 where that is
  less than `MIN_RECORDS`.
  """
  met = np.zeros(size, np.int64)
  for _, keys in _keys(texts, np.arange(size)):
    met += np.bincount(keys % size, minlength=size)
  # Rounded: the last bits of a logarithm differ between processors.
  tells = np.round(1 + np.log((1 + len(texts)) / (1 + met)), 4)
  return np.where(met < MIN_RECORDS, 0, tells).astype(np.float32)


def rows(
  texts: Sequence[Text], weights: Float32[np.ndarray, " size"], width: int
) -> Int32[np.ndarray, "N width"]:
  """The rows of each text, those that tell most first, padded by UNKNOWN."""
  size = len(weights)
  by_weight = np.argsort(-weights, kind="stable")
  places = np.empty(size, np.int64)
  places[by_weight] = np.arange(size)
  known = np.count_nonzero(weights)
  table = np.full((len(texts), width), UNKNOWN, np.int32)
  for first, keys in _keys(texts, places):
    text, place = np.divmod(keys, size)
    text, place = text[place < known], place[place < known]
    column = np.arange(len(text)) - np.searchsorted(text, text)
    fits = column < width
    table[first + text[fits], column[fits]] = by_weight[place[fits]]
  return table


def _keys(
  texts: Sequence[Text], places: Int64[np.ndarray, " size"]
) -> Iterator[tuple[int, Int64[np.ndarray, " keys"]]]:
  """(first text, size · text + place of a row) for some texts at a time.

  Sorted, and none comes twice.
  """
  size = len(places)
  for first in range(0, len(texts), _CHUNK):
    lists = [_hashes(*text) for text in texts[first : first + _CHUNK]]
    counts = np.fromiter(map(len, lists), np.int64, len(lists))
    every = itertools.chain.from_iterable(lists)
    hashes = np.fromiter(every, np.int64, counts.sum())
    text = np.repeat(np.arange(len(lists)), counts)
    keys = np.sort(text * size + places[hashes % size])
    yield first, keys[np.append(True, np.diff(keys) > 0)[: len(keys)]]


def _hashes(title: str, description: str) -> list[int]:
  """A number of 32 bits for each n-gram; repeated ones come several times."""
  crc32 = zlib.crc32
  name = words(title)
  every = [word.encode() for word in (*name, *words(description))]
  hashes = [crc32(word) for word in every]
  hashes += [crc32(b, crc32(a + b" ")) for a, b in itertools.pairwise(every)]
  for word in name:
    hashes.append(crc32(word.encode(), _TITLE))
    if len(word) > 1:
      framed = f"<{word[:_LONGEST_WORD]}>"
      hashes += [
        crc32(framed[start : start + n].encode(), _PART)
        for n in (3, 4, 5)
        for start in range(len(framed) - n + 1)
      ]
  return hashes
