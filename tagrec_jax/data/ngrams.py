"""Titles and descriptions as sets of n-grams.

Of the whole text these are words and pairs of words in a row; of the title
words and runs of 3 to 5 of their characters, which see the 'lib' and the 'perl'
of 'libfoo-perl'. Each is known by a checksum of 32 bits alone; those that most
products of training have get a row of a table. (A row for each remainder of
the checksum, as fastText does it, let the many n-grams of one product in:
.02 of P@3 less for the nearest neighbours in Debian's packages.)
Source: Joulin et al., Bag of Tricks for Efficient Text Classification, 2016.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float32, Int32, Int64, UInt32

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.data.words import words

MIN_RECORDS = 2
"""An n-gram met in fewer records of training has no row."""

_PART = zlib.crc32(b"part of a word ")
_LONGEST_WORD = 40  # characters of which parts are taken
_CHUNK = 1000  # texts at a time
_WAITING = 2**22  # n-grams counted at a time

Text = tuple[str, str]
"""A title and a description."""

Reader = Callable[[str, str], list[int]]
"""(title, description) → checksums of n-grams, repeated ones several times."""


def of_text(title: str, description: str) -> list[int]:
  """Words, and pairs of words in a row, of title and description."""
  crc32 = zlib.crc32
  every = [word.encode() for word in (*words(title), *words(description))]
  found = [crc32(word) for word in every]
  return found + [
    crc32(b, crc32(a + b" ")) for a, b in itertools.pairwise(every)
  ]


def of_title(title: str, description: str) -> list[int]:
  """Words of the title, and runs of 3 to 5 characters of '<word>'."""
  del description
  crc32 = zlib.crc32
  found = []
  for word in words(title):
    found.append(crc32(word.encode()))
    if len(word) > 1:
      framed = f"<{word[:_LONGEST_WORD]}>"
      found += [
        crc32(framed[start : start + n].encode(), _PART)
        for n in (3, 4, 5)
        for start in range(len(framed) - n + 1)
      ]
  return found


READERS: dict[str, Reader] = {"ngrams": of_text, "title": of_title}
"""Feature → what it reads of a text."""


def learn(
  texts: Sequence[Text], size: int, read: Reader = of_text
) -> tuple[UInt32[np.ndarray, " known"], Float32[np.ndarray, " size"]]:
  """The n-grams that have rows, and how much each row tells.

  An n-gram met in n of N texts tells 1 + log((1 + N) / (1 + n)). Rows that are
  left over, where there are fewer n-grams, tell 0.

  Args:
    texts: of training.
    size: rows of the table.
  """
  ngrams, met = _count(texts, read)
  enough = met >= MIN_RECORDS
  ngrams, met = ngrams[enough], met[enough]
  most = np.sort(np.lexsort((ngrams, -met))[:size])
  # Rounded: the last bits of a logarithm differ between processors.
  tells = np.round(1 + np.log((1 + len(texts)) / (1 + met[most])), 4)
  weights = np.zeros(size, np.float32)
  weights[: len(most)] = tells
  return ngrams[most].astype(np.uint32), weights


def rows(
  texts: Sequence[Text],
  known: UInt32[np.ndarray, " known"],
  weights: Float32[np.ndarray, " size"],
  width: int,
  read: Reader = of_text,
) -> Int32[np.ndarray, "N width"]:
  """The rows of each text, those that tell most first, padded by UNKNOWN."""
  table = np.full((len(texts), width), UNKNOWN, np.int32)
  if not len(known):
    return table
  by_weight = np.argsort(-weights[: len(known)], kind="stable")
  places = np.empty(len(known), np.int64)
  places[by_weight] = np.arange(len(known))
  for first, texts_of, ngrams in _chunks(texts, read):
    row = np.minimum(np.searchsorted(known, ngrams), len(known) - 1)
    found = known[row] == ngrams
    # By text, then by what they tell.
    keys = np.sort(texts_of[found] * len(known) + places[row[found]])
    text, place = np.divmod(keys, len(known))
    column = np.arange(len(text)) - np.searchsorted(text, text)
    fits = column < width
    table[first + text[fits], column[fits]] = by_weight[place[fits]]
  return table


def _count(
  texts: Sequence[Text], read: Reader
) -> tuple[Int64[np.ndarray, " ngrams"], Int64[np.ndarray, " ngrams"]]:
  """The n-grams in order of their checksums, and the texts each is met in."""
  counted = np.zeros(0, np.int64)
  met = np.zeros(0, np.int64)
  waiting: list[np.ndarray] = []
  for first, _, ngrams in _chunks(texts, read):
    waiting.append(ngrams)
    last = first + _CHUNK >= len(texts)
    # As many wait as are counted, so that no n-gram is sorted too often.
    if last or sum(map(len, waiting)) > max(_WAITING, len(counted)):
      every = np.concatenate([counted, *waiting])
      times = np.append(met, np.ones(len(every) - len(met), np.int64))
      counted, place = np.unique(every, return_inverse=True)
      met = np.bincount(place, times).astype(np.int64)
      waiting.clear()
  return counted, met


def _chunks(
  texts: Sequence[Text], read: Reader
) -> Iterator[
  tuple[int, Int64[np.ndarray, " found"], Int64[np.ndarray, " found"]]
]:
  """The n-grams of some texts at a time, none twice in a text.

  Yields:
    The number of the first text; for each n-gram its text, counted from that,
    and its checksum.
  """
  for first in range(0, len(texts), _CHUNK):
    lists = [read(*text) for text in texts[first : first + _CHUNK]]
    counts = np.fromiter(map(len, lists), np.int64, len(lists))
    every = itertools.chain.from_iterable(lists)
    checksums = np.fromiter(every, np.int64, counts.sum())
    text = np.repeat(np.arange(len(lists)), counts)
    keys = np.sort((text << 32) + checksums)
    # As np.unique does, in a tenth of its time.
    keys = keys[np.append(True, keys[1:] > keys[:-1])[: len(keys)]]
    text, ngrams = np.divmod(keys, 1 << 32)
    yield first, text, ngrams
