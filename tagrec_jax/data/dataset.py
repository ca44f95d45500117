"""A prepared data set: people's events as flat arrays, products as tables."""

from __future__ import annotations

import dataclasses

import numpy as np

from tagrec_jax.data.encodings import Encoding
from tagrec_jax.data.spec import Spec
from tagrec_jax.data.vocab import Vocabulary

NO_TIME = np.iinfo(np.int64).min
"""The time of an event of which only the order is known."""


@dataclasses.dataclass(frozen=True)
class Interactions:
  """All events, person after person, each person's in time order (CSR).

  Attributes:
    offsets: int64 [P + 1]; the events of person p are offsets[p]:offsets[p+1].
    items: int32 [E] catalogue index, UNKNOWN for an item not in training.
    times: int64 [E] seconds since 1970 UTC, or NO_TIME.
  """

  offsets: np.ndarray
  items: np.ndarray
  times: np.ndarray

  def of(self, person: int) -> slice:
    return slice(int(self.offsets[person]), int(self.offsets[person + 1]))


@dataclasses.dataclass(frozen=True)
class Questions:
  """Held-out events: what will this person take next?

  Attributes:
    people: int32 [Q] index of the person.
    events: int64 [Q] index of the held-out event in Interactions; its input is
      that person's events before it, and its time is the moment asked.
  """

  people: np.ndarray
  events: np.ndarray


@dataclasses.dataclass(frozen=True)
class Dataset:
  """What a prepared data set holds; immutable, named by its fingerprint.

  Attributes:
    name: of the source.
    fingerprint: sha256 of everything below.
    spec: sizes and the feature table.
    items, tags, people: ids ↔ rows. `items` is built from training events.
    titles: for people to read, one per item.
    events: all events.
    train_ends: int64 [P]; events offsets[p]:train_ends[p] are training.
    valid, test: the held-out questions.
    product: name → array [C, ...] for each product feature.
    person: name → array [P, ...] for each person feature.
    counts: what cleaning did: reason → rows.
    encodings: how `product` and `person` were made, for those that come later.
  """

  name: str
  fingerprint: str
  spec: Spec
  items: Vocabulary
  tags: Vocabulary
  people: Vocabulary
  titles: tuple[str, ...]
  events: Interactions
  train_ends: np.ndarray
  valid: Questions
  test: Questions
  product: dict[str, np.ndarray]
  person: dict[str, np.ndarray]
  counts: dict[str, int]
  encodings: tuple[Encoding, ...] = ()
