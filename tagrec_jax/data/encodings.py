"""From what is said of products and people to arrays.

An `Encoding` is learned from training records and then fixed, so that a product
or a person that comes later is read in the same way.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import DataSettings
from tagrec_jax.data.records import Item, Person
from tagrec_jax.data.spec import Feature, Kind, Part
from tagrec_jax.data.vocab import Vocabulary
from tagrec_jax.data.words import words

MAX_TAGS = 64
"""Tags kept of one product, the first ones."""
MIN_RECORDS = 2
"""A word or class of fewer training records says nothing that an id does not:
it is not kept."""
MAX_NUMBER = 5.0
"""Standardised numbers are clipped to ± this."""
RESERVED = ("id", "tags", "text", "numbers")
"""Product features of their own; no category may have such a name."""


@dataclasses.dataclass(frozen=True)
class Encoding:
  """How one feature is read.

  Attributes:
    feature: its row of the feature table.
    names: the classes, words or tags that rows of arrays stand for; of NUMBER,
      the quantities in its columns.
    centers, scales: NUMBER only, one for each column: what is taken from the
      logarithm and what the rest is divided by.
  """

  feature: Feature
  names: Vocabulary
  centers: tuple[float, ...] = ()
  scales: tuple[float, ...] = ()

  def encode(self, records: Sequence[Any]) -> np.ndarray:
    """The feature's array, one row for each record; see `Kind`.

    Args:
      records: `Item`s or `Person`s, as the feature's part says.
    """
    match self.feature.kind:
      case Kind.CATEGORY:
        name = self.feature.name
        return self.names.indices(r.categories.get(name, "") for r in records)
      case Kind.ID_SET:
        return self._rows(dict.fromkeys(r.tags) for r in records)
      case Kind.TEXT:
        return self._rows(words(_text(r)) for r in records)
      case Kind.NUMBER:
        return self._numbers(records)

  def _rows(self, lists: Iterable[Iterable[str]]) -> np.ndarray:
    """The first known members of each list, padded by UNKNOWN."""
    rows = []
    for members in lists:
      known = (row for row in self.names.indices(members) if row != UNKNOWN)
      rows.append(list(itertools.islice(known, self.feature.width)))
    table = np.full((len(rows), self.feature.width), UNKNOWN, np.int32)
    for row, found in enumerate(rows):
      table[row, : len(found)] = found
    return table

  def _numbers(self, records: Sequence[Item]) -> np.ndarray:
    logs = _logarithms(records, self.names.ids)
    standard = (logs - np.array(self.centers)) / np.array(self.scales)
    # Rounded: the last bits of a logarithm differ between processors.
    rounded = np.round(np.clip(standard, -MAX_NUMBER, MAX_NUMBER), 4)
    return rounded.astype(np.float32) + 0.0  # no -0.0


def product_encodings(
  items: Sequence[Item], settings: DataSettings
) -> tuple[Encoding, ...]:
  """Learns every product feature that these products offer.

  Args:
    items: those that training may see.

  Raises:
    UserError: if a category has the name of another feature.
  """
  classes = _classes(items, Part.PRODUCT)
  for name in RESERVED:
    if any(encoding.feature.name == name for encoding in classes):
      raise UserError(
        f"category '{name}' of products",
        "found the name of another feature",
        f"a name other than {', '.join(RESERVED)}",
        "rename the column",
      )
  text = _words(items, settings.text_vocabulary, settings.text_words)
  made = (_tags(items), text, _scales(items), *classes)
  return tuple(e for e in made if len(e.names) and e.feature.width)


def person_encodings(people: Sequence[Person]) -> tuple[Encoding, ...]:
  """Learns every person feature that these people offer."""
  return tuple(e for e in _classes(people, Part.PERSON) if len(e.names))


def _tags(items: Sequence[Item]) -> Encoding:
  tags = Vocabulary(sorted({tag for item in items for tag in item.tags}))
  width = max((len(set(item.tags)) for item in items), default=0)
  return Encoding(
    Feature("tags", Part.PRODUCT, Kind.ID_SET, len(tags), min(width, MAX_TAGS)),
    tags,
  )


def _words(items: Sequence[Item], size: int, width: int) -> Encoding:
  counts = collections.Counter(
    word
    for item in (items if size and width else ())
    for word in set(words(_text(item)))
  )
  kept = Vocabulary(_frequent(counts)[:size])
  return Encoding(
    Feature("text", Part.PRODUCT, Kind.TEXT, len(kept), width), kept
  )


def _scales(items: Sequence[Item]) -> Encoding:
  names = Vocabulary(sorted({name for item in items for name in item.numbers}))
  centers, scales = [], []
  for column in _logarithms(items, names.ids).T:
    known = column[~np.isnan(column)]
    if not len(known):
      known = np.zeros(1)
    low, middle, high = np.percentile(known, (25, 50, 75))
    # Where most numbers are equal, the few others still have a spread.
    spread = (high - low) or known.std() or 1.0
    # Rounded for the same reason as the numbers themselves.
    centers.append(float(f"{middle:.9g}"))
    scales.append(float(f"{spread:.9g}"))
  return Encoding(
    Feature("numbers", Part.PRODUCT, Kind.NUMBER, 0, len(names)),
    names,
    tuple(centers),
    tuple(scales),
  )


def _classes(
  records: Sequence[Item] | Sequence[Person], part: Part
) -> list[Encoding]:
  """An encoding for each name of a category; '' is a missing class."""
  counts: dict[str, collections.Counter[str]] = {}
  for record in records:
    for name, value in record.categories.items():
      if value:
        counts.setdefault(name, collections.Counter())[value] += 1
  encodings = []
  for name in sorted(counts):
    kept = Vocabulary(_frequent(counts[name]))
    feature = Feature(name, part, Kind.CATEGORY, len(kept))
    encodings.append(Encoding(feature, kept))
  return encodings


def _frequent(counts: collections.Counter[str]) -> list[str]:
  """The most frequent first, ties in the order of the words."""
  kept = (name for name, count in counts.items() if count >= MIN_RECORDS)
  return sorted(kept, key=lambda name: (-counts[name], name))


def _text(item: Item) -> str:
  return f"{item.title}\n{item.description}"


def _logarithms(items: Sequence[Item], names: Sequence[str]) -> np.ndarray:
  """sign(x) · log(1 + |x|) of each number; NaN where there is none."""
  table = np.full((len(items), len(names)), np.nan)
  for row, item in enumerate(items):
    for column, name in enumerate(names):
      value = item.numbers.get(name, math.nan)
      if math.isfinite(value):
        table[row, column] = value
  return np.sign(table) * np.log1p(np.abs(table))
