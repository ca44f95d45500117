"""Records as they were read → records to learn from, and what was left out."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Int32

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import DataSettings
from tagrec_jax.data.dataset import NO_TIME
from tagrec_jax.data.event_log import EventLog
from tagrec_jax.data.k_core import k_core
from tagrec_jax.data.records import (
  Event,
  Item,
  Person,
  Record,
  Rejection,
  Tag,
)
from tagrec_jax.data.sources.rows import shown
from tagrec_jax.data.text import normalise
from tagrec_jax.data.values import id_problem, time_problem

LONGEST_TITLE = 1_000
LONGEST_DESCRIPTION = 10_000
LONGEST_NAME = 200
"""Characters of a title, a description, and of a tag, category or group."""

KEPT_REJECTIONS = 1_000
"""Rejections that are kept to be shown; all of them are counted."""

_TOP_REASONS = 3

Described = TypeVar("Described", Item, Tag, Person)


@dataclasses.dataclass(frozen=True)
class Cleaned:
  """What is left.

  Attributes:
    items, people: by id; those of events nobody described have only their id,
      those without events are kept.
    tags: what was said of tags, by id; of most nothing is.
    events: by person (ids in order of code points), then time; events of one
      second, or without times, stay in the order of the file.
    counts: reason → records left out, refused or made.
    rejections: the first `KEPT_REJECTIONS` refused rows and fields.
  """

  items: dict[str, Item]
  tags: dict[str, Tag]
  people: dict[str, Person]
  events: EventLog
  counts: dict[str, int]
  rejections: list[Rejection]


def clean(records: Iterable[Record], settings: DataSettings) -> Cleaned:
  """Brings records into one form, order and density.

  In this order: texts are normalised; of items, tags and people described
  twice the first counts; events with impossible ids or times are refused;
  events of the same person, product and second become one; ratings below
  `min_rating` go (events without rating stay); people and products of too few
  events and tags of too few posts go, see `k_core`; events are sorted.

  Cleaning what was cleaned changes nothing.

  Raises:
    UserError: if more than `max_bad_rows` of all rows were refused, or no event
      of a data set with events is left.
  """
  gathered = _Gathered()
  for record in records:
    gathered.add(record)
  counts = gathered.counts
  events = gathered.events
  columns = _Columns.of(events)
  gathered.refuse(columns.untimed_among_timed, "time", "missing")
  gathered.check(settings.max_bad_rows)
  keep = ~columns.untimed_among_timed
  keep &= ~_merge_repeated(events, columns, keep, counts)
  keep &= ~_rated_low(events, keep, settings.min_rating, counts)
  keep = k_core(events, keep, settings, counts)
  if events and not keep.any():
    raise UserError(
      "config.data",
      f"no event of {len(events):,} is left ({_top(counts)})",
      "some",
      "lower min_rating, min_person_events, min_item_events or min_tag_posts",
    )
  rows = np.flatnonzero(keep)
  order = np.lexsort((columns.times[rows], columns.person_ranks[rows]))
  sorted_events = events.take(rows[order])
  for id in _in_order(sorted_events.items, events.item_ids):
    if id not in gathered.items:
      gathered.items[id] = Item(id)
      counts["item known only from events"] += 1
  for id in _in_order(sorted_events.people, events.people_ids):
    if id not in gathered.people:
      gathered.people[id] = Person(id)
  return Cleaned(
    gathered.items,
    gathered.tags,
    gathered.people,
    sorted_events,
    dict(+counts),
    gathered.rejections,
  )


class _Gathered:
  """Records in one form, apart by kind, and what was refused on the way."""

  def __init__(self):
    self.items: dict[str, Item] = {}
    self.tags: dict[str, Tag] = {}
    self.people: dict[str, Person] = {}
    self.events = EventLog()
    self.counts: collections.Counter[str] = collections.Counter()
    self.rejections: list[Rejection] = []
    self._rows = 0
    self._refused: collections.Counter[str] = collections.Counter()
    self._good_ids: set[str] = set()

  def add(self, record: Record) -> None:
    self._rows += 1
    if isinstance(record, Event):
      self._add_event(record)
    elif isinstance(record, Rejection):
      self._reject(record)
    elif isinstance(record, Tag):
      # Named as products name it, who need not be strict about it.
      record = tidy_tag(record)
      if self._is_id(record.id, "tag"):
        self._add_described(self.tags, record)
    elif isinstance(record, Item):
      if self._is_id(record.id, "item"):
        self._add_described(self.items, tidy_item(record))
    elif self._is_id(record.id, "person"):
      categories = _tidy_categories(record.categories)
      self._add_described(self.people, Person(record.id, categories))

  def _add_described(
    self, described: dict[str, Described], record: Described
  ) -> None:
    if described.setdefault(record.id, record) is not record:
      self.counts[f"repeated {type(record).__name__.lower()}"] += 1

  def _add_event(self, event: Event) -> None:
    if not self._is_id(event.person, "person"):
      return
    if not self._is_id(event.item, "item"):
      return
    if event.time is not None and (problem := time_problem(event.time)):
      self._reject(Rejection("events", 0, "time", problem, str(event.time)))
      return
    if event.tags or event.categories:
      event = dataclasses.replace(
        event,
        tags=tidy_tags(event.tags),
        categories=_tidy_categories(event.categories),
      )
    self.events.append(event)

  def _is_id(self, id: str, field: str) -> bool:
    if id in self._good_ids:
      return True
    if problem := id_problem(id):
      self._reject(Rejection("records", 0, field, problem, shown(id)))
      return False
    self._good_ids.add(id)
    return True

  def _reject(self, rejection: Rejection) -> None:
    field, reason = rejection.field, rejection.reason
    self._refused[f"{field}: {reason}" if field else reason] += 1
    if len(self.rejections) < KEPT_REJECTIONS:
      self.rejections.append(rejection)

  def refuse(
    self, rows: Bool[np.ndarray, " E"], field: str, reason: str
  ) -> None:
    """Counts events that could only be judged beside the others."""
    for row in np.flatnonzero(rows).tolist():
      event = self.events[row]
      self._reject(
        Rejection("events", 0, field, reason, f"{event.person} {event.item}")
      )

  def check(self, max_bad_rows: float) -> None:
    """Ends the run if too much was refused."""
    refused = self._refused.total()
    self.counts.update(self._refused)
    if refused > max_bad_rows * self._rows:
      raise UserError(
        self.rejections[0].file,
        f"{refused:,} of {self._rows:,} rows are bad ({_top(self._refused)}); "
        f"the first is {self.rejections[0]}",
        f"at most config.data.max_bad_rows = {max_bad_rows:g} of them",
        "mend the file or raise config.data.max_bad_rows",
      )


def _top(counts: collections.Counter[str]) -> str:
  top = counts.most_common(_TOP_REASONS)
  return ", ".join(f"{count:,} x {reason}" for reason, count in top)


def tidy_item(item: Item) -> Item:
  """The item with its texts in one form."""
  finite = {k: v for k, v in item.numbers.items() if math.isfinite(v)}
  return dataclasses.replace(
    item,
    title=normalise(item.title, LONGEST_TITLE),
    description=normalise(item.description, LONGEST_DESCRIPTION),
    tags=tidy_tags(item.tags),
    numbers=finite,
    categories=_tidy_categories(item.categories),
    sets=_tidy_sets(item.sets),
    group=normalise(item.group, LONGEST_NAME),
  )


def tidy_tag(tag: Tag) -> Tag:
  """The tag with its name and text in one form."""
  return Tag(
    normalise(tag.id, LONGEST_NAME),
    normalise(tag.description, LONGEST_DESCRIPTION),
  )


def _tidy_sets(
  sets: Mapping[str, Iterable[str]],
) -> dict[str, tuple[str, ...]]:
  tidy = {name: tidy_tags(members) for name, members in sets.items()}
  return {name: members for name, members in tidy.items() if members}


def tidy_tags(tags: Iterable[str]) -> tuple[str, ...]:
  """Names of tags in one form, each once."""
  tidy = (normalise(tag, LONGEST_NAME) for tag in tags)
  return tuple(dict.fromkeys(tag for tag in tidy if tag))


def _tidy_categories(categories: Mapping[str, str]) -> dict[str, str]:
  tidy = {k: normalise(v, LONGEST_NAME) for k, v in categories.items()}
  return {name: value for name, value in tidy.items() if value}


@dataclasses.dataclass(frozen=True)
class _Columns:
  """Events as arrays.

  Attributes:
    people, items: int32 [E] numbers in the order of first appearance.
    person_ranks: int32 [E] numbers in the order of the people's ids.
    times: int64 [E] seconds, or NO_TIME. Never float, which loses seconds.
  """

  people: np.ndarray
  items: np.ndarray
  person_ranks: np.ndarray
  times: np.ndarray

  @classmethod
  def of(cls, events: EventLog) -> _Columns:
    people, person_ids = events.people, events.people_ids
    ranks = np.empty(len(person_ids), np.int32)
    by_id = sorted(range(len(person_ids)), key=person_ids.__getitem__)
    ranks[by_id] = np.arange(len(person_ids))
    return cls(people, events.items, ranks[people], events.times)

  @property
  def untimed_among_timed(self) -> Bool[np.ndarray, " E"]:
    """Events without a time, of people whose other events have one.

    They cannot be put in order.
    """
    timed = self.times != NO_TIME
    return ~timed & (np.bincount(self.people, timed)[self.people] > 0)


def _in_order(
  numbers: Int32[np.ndarray, " E"], ids: Sequence[str]
) -> Iterator[str]:
  """The ids of numbers, each once, where it comes first."""
  _, firsts = np.unique(numbers, return_index=True)
  return (ids[number] for number in numbers[np.sort(firsts)].tolist())


def _merge_repeated(
  events: EventLog,
  columns: _Columns,
  keep: Bool[np.ndarray, " E"],
  counts: collections.Counter[str],
) -> Bool[np.ndarray, " E"]:
  """Finds events that repeat an earlier one; it takes over what they add.

  Without times there are none: order alone cannot tell a repetition from a
  second purchase.
  """
  repeated = np.zeros(len(events), bool)
  rows = np.flatnonzero(keep & (columns.times != NO_TIME))
  keys = columns.times[rows], columns.items[rows], columns.people[rows]
  order = np.lexsort(keys)
  same = np.ones(max(len(rows) - 1, 0), bool)
  for key in keys:
    same &= key[order][1:] == key[order][:-1]
  later = np.flatnonzero(same) + 1
  repeated[rows[order[later]]] = True
  counts["repeated event"] += len(later)
  # The first event of each run of equal ones, and the others of the run.
  starts = np.flatnonzero(np.append(True, ~same))
  firsts = starts[np.searchsorted(starts, later, side="right") - 1]
  groups: dict[int, list[Event]] = {}
  for first, other in zip(
    rows[order[firsts]].tolist(), rows[order[later]].tolist(), strict=True
  ):
    groups.setdefault(first, [events[first]]).append(events[other])
  for first, group in groups.items():
    events.change(first, _merged(group))
  return repeated


def _merged(group: list[Event]) -> Event:
  """One event of several: the first one's values, then what others add."""
  first = group[0]
  ratings = (e.rating for e in group if e.rating is not None)
  tags = dict.fromkeys(tag for event in group for tag in event.tags)
  categories: dict[str, str] = {}
  for event in reversed(group):
    categories |= event.categories
  return dataclasses.replace(
    first,
    rating=next(ratings, None),
    tags=tuple(tags),
    categories=categories,
  )


def _rated_low(
  events: EventLog,
  keep: Bool[np.ndarray, " E"],
  min_rating: float,
  counts: collections.Counter[str],
) -> Bool[np.ndarray, " E"]:
  low = events.ratings < min_rating  # NaN, where there is none, is not
  if min_rating == 0:  # all are kept, also where ratings may be negative
    low[:] = False
  counts["rated below min_rating"] += int((keep & low).sum())
  return low
