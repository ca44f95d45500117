"""From what is said of products, tags, people and moments to arrays.

An `Encoding` is learned from training records and then fixed, so that what
comes later is read in the same way. How each kind is read stands in modules of
its own: numbers, ngrams, pictures, sounds, tokenizer.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import DataSettings
from tagrec_jax.data import ngrams, numbers
from tagrec_jax.data.pictures import read_pictures
from tagrec_jax.data.records import Item, Person, Tag
from tagrec_jax.data.sounds import RATE, read_clips
from tagrec_jax.data.spec import Feature, Kind, Part
from tagrec_jax.data.tokenizer import (
  read_tokenizer,
  token_rows,
  vocabulary_size,
)
from tagrec_jax.data.vocab import Vocabulary
from tagrec_jax.data.words import words

MAX_TAGS = 64
"""Tags, or members of another set, kept of one product, the first ones."""
MIN_RECORDS = 2
"""A word or class of fewer training records says nothing that an id does not:
it is not kept."""
RESERVED = (
  *("id", "tags", "text", "tokens", "ngrams", "title", "numbers"),
  *("image", "audio", "pretrained", "codes"),
)
"""Product features of their own; no category or set may have such a name."""

_TEXTS = ("text", "tokens", *ngrams.READERS)  # features that tags have too
_BETWEEN = re.compile(r"[:/_-]+|(?<=[a-z])(?=[A-Z])")

_NO_NAMES = Vocabulary(())


@dataclasses.dataclass(frozen=True)
class Moment:
  """What any number of events say of their moment; see `Event.categories`."""

  categories: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Encoding:
  """How one feature is read.

  Attributes:
    feature: its row of the feature table.
    names: the classes, words or tags that rows of arrays stand for; of NUMBER,
      the quantities in its columns; of others, none.
    centers, scales: NUMBER only, one for each column: what is taken from the
      logarithm and what the rest is divided by.
    ngrams: NGRAMS only, uint32 [at most size]: the n-gram of each row.
    weights: NGRAMS only, float32 [size]: how much each row tells, 0 for those
      that are not used.
    tokenizer: of 'tokens' only, the content of its tokenizer.json.
  """

  feature: Feature
  names: Vocabulary = _NO_NAMES
  centers: tuple[float, ...] = ()
  scales: tuple[float, ...] = ()
  ngrams: np.ndarray | None = dataclasses.field(default=None, compare=False)
  weights: np.ndarray | None = dataclasses.field(default=None, compare=False)
  tokenizer: str = ""

  def encode(
    self,
    records: Sequence[Any],
    counts: collections.Counter[str] | None = None,
  ) -> np.ndarray:
    """The feature's array, one row for each record; see `Kind`.

    Args:
      records: `Item`s, `Tag`s, `Person`s or `Moment`s, as the feature's part
        says.
      counts: takes reason → files of pictures and clips that were given and
        could not be read.
    """
    name, width = self.feature.name, self.feature.width
    counts = collections.Counter() if counts is None else counts
    match self.feature.kind:
      case Kind.CATEGORY:
        return self.names.indices(r.categories.get(name, "") for r in records)
      case Kind.ID_SET:
        return self._rows(dict.fromkeys(_members(r, name)) for r in records)
      case Kind.TEXT if self.tokenizer:
        return token_rows(_joined(records), self.tokenizer, width)
      case Kind.TEXT:
        return self._rows(words(text) for text in _joined(records))
      case Kind.NUMBER:
        return numbers.rows(
          [r.numbers for r in records],
          self.names.ids,
          self.centers,
          self.scales,
        )
      case Kind.NGRAMS:
        assert self.ngrams is not None
        assert self.weights is not None
        read = ngrams.READERS[name]
        return ngrams.rows(
          _texts(records), self.ngrams, self.weights, width, read
        )
      case Kind.IMAGE:
        return read_pictures([r.image for r in records], width, counts)
      case Kind.AUDIO:
        return read_clips([r.audio for r in records], width / RATE, counts)
      case Kind.VECTOR:
        raise ValueError("vectors are made by a model, not read")

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


def product_encodings(
  items: Sequence[Item],
  settings: DataSettings,
  tags: Vocabulary | None = None,
) -> tuple[Encoding, ...]:
  """Learns every product feature that these products offer.

  Args:
    items: those that training may see.
    tags: rows of tags; None: those of the products, in their order.

  Raises:
    UserError: if a category or set has the name of another feature, or
      `settings.pretrained_text` is no folder of an encoder.
  """
  if not items:
    return ()
  named = [*_classes(items, Part.PRODUCT), *_sets(items)]
  _check_names(named)
  made = (
    _tags(items, tags),
    *_text_encodings(items, settings),
    _numbers(items),
    *_media_encodings(items, settings),
    *named,
  )
  return tuple(e for e in made if e is not None)


def tag_encodings(
  tags: Sequence[Tag], of_products: Sequence[Encoding]
) -> tuple[Encoding, ...]:
  """Tags' own texts, read with the words and weights of products' texts.

  So one table serves both, and a tag that no product has yet is known by what
  its words mean in products.

  Args:
    tags: those of training; of them the width of the arrays is learned.
    of_products: what `product_encodings` gave.
  """
  encodings = []
  for encoding in of_products:
    if encoding.feature.name in _TEXTS and tags:
      used = int((encoding.encode(tags) != UNKNOWN).sum(1).max())
      feature = dataclasses.replace(
        encoding.feature, part=Part.TAG, width=max(used, 1)
      )
      encodings.append(dataclasses.replace(encoding, feature=feature))
  return tuple(encodings)


def person_encodings(people: Sequence[Person]) -> tuple[Encoding, ...]:
  """Learns every person feature that these people offer."""
  return tuple(_classes(people, Part.PERSON))


def moment_encodings(
  moments: Sequence[Moment], times: Sequence[int], reserved: Collection[str]
) -> tuple[Encoding, ...]:
  """Learns every moment feature that times do not tell.

  Args:
    moments: what events say of theirs.
    times: how many events of training say it.
    reserved: names of those that times tell.

  Raises:
    UserError: if a category has one of these names.
  """
  encodings = _classes(moments, Part.MOMENT, times)
  for encoding in encodings:
    if (name := encoding.feature.name) in reserved:
      raise UserError(
        f"category '{name}' of events",
        "found the name of a feature that is made of times",
        f"a name other than {', '.join(reserved)}",
        "rename the column",
      )
  return tuple(encodings)


# What is learned, one function a kind; None where there is nothing to learn.


def _tags(items: Sequence[Item], known: Vocabulary | None) -> Encoding | None:
  tags = Vocabulary.sorted({tag for item in items for tag in item.tags})
  width = max(len(set(item.tags)) for item in items)
  encoding = _of_set("tags", tags, width)
  if encoding is None or known is None:
    return encoding
  feature = dataclasses.replace(encoding.feature, size=len(known))
  return dataclasses.replace(encoding, feature=feature, names=known)


def _sets(items: Sequence[Item]) -> list[Encoding]:
  """An encoding for each name of a set, of members met in several products."""
  counts: dict[str, collections.Counter[str]] = {}
  for item in items:
    for name, members in item.sets.items():
      counts.setdefault(name, collections.Counter()).update(set(members))
  encodings = []
  for name in sorted(counts):
    kept = Vocabulary.sorted(_frequent(counts[name]))
    width = max(
      sum(member in kept for member in set(item.sets.get(name, ())))
      for item in items
    )
    if encoding := _of_set(name, kept, width):
      encodings.append(encoding)
  return encodings


def _of_set(name: str, members: Vocabulary, width: int) -> Encoding | None:
  if not len(members):
    return None
  width = min(width, MAX_TAGS)
  feature = Feature(name, Part.PRODUCT, Kind.ID_SET, len(members), width)
  return Encoding(feature, members)


def _text_encodings(
  items: Sequence[Item], settings: DataSettings
) -> list[Encoding]:
  """The three ways to read titles and descriptions, as far as asked for."""
  made = []
  if settings.text_vocabulary and settings.text_words:
    counts = collections.Counter(
      word for text in _joined(items) for word in set(words(text))
    )
    kept = Vocabulary.sorted(_frequent(counts)[: settings.text_vocabulary])
    feature = Feature(
      "text", Part.PRODUCT, Kind.TEXT, len(kept), settings.text_words
    )
    if len(kept):
      made.append(Encoding(feature, kept))
  if folder := settings.pretrained_text:
    tokenizer = read_tokenizer(folder)
    size, width = vocabulary_size(tokenizer), settings.pretrained_tokens
    feature = Feature("tokens", Part.PRODUCT, Kind.TEXT, size, width)
    made.append(Encoding(feature, tokenizer=tokenizer))
  if size := settings.ngram_buckets:
    texts, width = _texts(items), settings.ngram_width
    for name, read in ngrams.READERS.items():
      known, weights = ngrams.learn(texts, size, read)
      feature = Feature(name, Part.PRODUCT, Kind.NGRAMS, size, width)
      if len(known):
        made.append(Encoding(feature, ngrams=known, weights=weights))
  return made


def _numbers(items: Sequence[Item]) -> Encoding | None:
  names = Vocabulary.sorted({name for item in items for name in item.numbers})
  if not len(names):
    return None
  feature = Feature("numbers", Part.PRODUCT, Kind.NUMBER, 0, len(names))
  learned = numbers.learn([item.numbers for item in items], names.ids)
  return Encoding(feature, names, *learned)


def _media_encodings(
  items: Sequence[Item], settings: DataSettings
) -> list[Encoding]:
  """Of pictures and clips; nothing is learned but whether there are any."""
  made = []
  if settings.image_size and any(item.image for item in items):
    width = settings.image_size
    made.append(Encoding(Feature("image", Part.PRODUCT, Kind.IMAGE, 0, width)))
  samples = round(settings.audio_seconds * RATE)
  if samples and any(item.audio for item in items):
    feature = Feature("audio", Part.PRODUCT, Kind.AUDIO, 0, samples)
    made.append(Encoding(feature))
  return made


def _classes(
  records: Iterable[Item | Person | Moment],
  part: Part,
  times: Iterable[int] = itertools.repeat(1),
) -> list[Encoding]:
  """An encoding for each name of a category; '' is a missing class.

  Args:
    times: how often each record counts.
  """
  counts: dict[str, collections.Counter[str]] = {}
  for record, count in zip(records, times, strict=False):
    for name, value in record.categories.items():
      if value:
        counts.setdefault(name, collections.Counter())[value] += count
  encodings = []
  for name in sorted(counts):
    kept = Vocabulary.sorted(_frequent(counts[name]))
    feature = Feature(name, part, Kind.CATEGORY, len(kept))
    encodings.append(Encoding(feature, kept))
  return [encoding for encoding in encodings if len(encoding.names)]


def _frequent(counts: collections.Counter[str]) -> list[str]:
  """The most frequent first, ties in the order of the words."""
  kept = (name for name, count in counts.items() if count >= MIN_RECORDS)
  return sorted(kept, key=lambda name: (-counts[name], name))


def _check_names(encodings: Sequence[Encoding]) -> None:
  taken = set(RESERVED)
  for encoding in encodings:
    name, kind = encoding.feature.name, encoding.feature.kind
    if name in taken:
      raise UserError(
        f"{'set' if kind is Kind.ID_SET else 'category'} '{name}' of products",
        "found the name of another feature",
        f"a name other than {', '.join(RESERVED)}, used once",
        "rename the column",
      )
    taken.add(name)


# What records say.


def _members(item: Item, name: str) -> tuple[str, ...]:
  return item.tags if name == "tags" else item.sets.get(name, ())


def _texts(records: Iterable[Item | Tag]) -> list[ngrams.Text]:
  """Titles and descriptions; the title of a tag is its name in words."""
  return [
    (
      _BETWEEN.sub(" ", r.id).strip() if isinstance(r, Tag) else r.title,
      r.description,
    )
    for r in records
  ]


def _joined(records: Iterable[Item | Tag]) -> list[str]:
  return ["\n".join(text) for text in _texts(records)]
