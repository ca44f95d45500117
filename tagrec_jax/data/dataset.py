"""A prepared data set: people's events as flat arrays, products as tables."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from tagrec_jax.data.encodings import Encoding
from tagrec_jax.data.lists import Lists
from tagrec_jax.data.spec import Spec
from tagrec_jax.data.vocab import Vocabulary

NO_TIME = np.iinfo(np.int64).min
"""The time of an event of which only the order is known."""

NONE = Vocabulary(())


def _no_rows() -> np.ndarray:
  return np.zeros(0, np.int32)


@dataclasses.dataclass(frozen=True)
class Interactions:
  """All events, person after person, each person's in time order (CSR).

  Attributes:
    offsets: int64 [P + 1]; the events of person p are offsets[p]:offsets[p+1].
    items: int32 [E] row of the product, UNKNOWN for one that is not known.
    times: int64 [E] seconds since 1970 UTC, or NO_TIME.
    posted: the tags that the person gave the product in each event, E lists of
      rows, new ones among them; None where nobody tags.
    moment: name → int32 [E], the class of each event's moment for each moment
      feature that times do not tell, such as 'device'.
  """

  offsets: np.ndarray
  items: np.ndarray
  times: np.ndarray
  posted: Lists | None = None
  moment: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

  def of(self, person: int) -> slice:
    return slice(int(self.offsets[person]), int(self.offsets[person + 1]))


@dataclasses.dataclass(frozen=True)
class Assignments:
  """Every tag that a person gave, person after person, in order (CSR).

  The tags of one event, a post, follow one another as they were given.

  Attributes:
    offsets: int64 [P + 1]; those of person p are offsets[p]:offsets[p + 1].
    ends: int64 [P]; those in training events are offsets[p]:ends[p].
    posts: int64 [E + 1]; those of event e are posts[e]:posts[e + 1].
    people: int32 [A].
    events: int64 [A], the event of each in `Interactions`.
    items, tags: int32 [A], see `Interactions`; new ones among them.
    times: int64 [A] of their events.
    trains: bool [A], of a training event, its product and tag of training.
  """

  offsets: np.ndarray
  ends: np.ndarray
  posts: np.ndarray
  people: np.ndarray
  events: np.ndarray
  items: np.ndarray
  tags: np.ndarray
  times: np.ndarray
  trains: np.ndarray


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
    items, tags: of training: ids ↔ rows 0..C-1.
    new_items, new_tags: those of which training knows nothing: ids ↔ rows that
      come after, C..C+N-1.
    people: ids ↔ rows.
    titles: for people to read, one for each item and new item.
    events: all events.
    train_ends: int64 [P]; events offsets[p]:train_ends[p] are training.
    valid, test: the held-out questions.
    valid_items, test_items: int32 [Q], ascending, the products whose tags are
      asked; new ones, unless they were added later (extend.py).
    product: name → array [C + N, ...] for each product feature; 'tags' holds
      new tags too, but not of products of training.
    tag: name → array [T + N, ...] for each tag feature. Arrays of products and
      tags may be known only while a program is traced, see run/aot/made_up.py.
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
  product: dict[str, Any]
  person: dict[str, np.ndarray]
  counts: dict[str, int]
  encodings: tuple[Encoding, ...] = ()
  new_items: Vocabulary = NONE
  new_tags: Vocabulary = NONE
  valid_items: np.ndarray = dataclasses.field(default_factory=_no_rows)
  test_items: np.ndarray = dataclasses.field(default_factory=_no_rows)
  tag: dict[str, Any] = dataclasses.field(default_factory=dict)

  @functools.cached_property
  def all_items(self) -> Vocabulary:
    """Ids ↔ rows of every product, also of new ones."""
    return self.items.extended(self.new_items.ids)

  @functools.cached_property
  def assignments(self) -> Assignments:
    """Every tag that a person gave a product; none where nobody tags."""
    events, spec = self.events, self.spec
    posted = events.posted or Lists.empty(len(events.items))
    event = np.repeat(np.arange(len(events.items)), np.diff(posted.offsets))
    lengths = np.diff(events.offsets)
    people = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)[event]
    items = events.items[event]
    known = (items >= 0) & (items < spec.num_items)
    known &= (posted.values >= 0) & (posted.values < spec.num_tags)
    return Assignments(
      offsets=posted.offsets[events.offsets],
      ends=posted.offsets[self.train_ends],
      posts=posted.offsets,
      people=people,
      events=event,
      items=items,
      tags=posted.values,
      times=events.times[event],
      trains=known & (event < self.train_ends[people]),
    )

  @functools.cached_property
  def all_tags(self) -> Vocabulary:
    """Ids ↔ rows of every tag, also of new ones."""
    return self.tags.extended(self.new_tags.ids)
