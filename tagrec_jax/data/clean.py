"""Records as they were read → records to learn from, and what was left out."""

from __future__ import annotations

import collections
import dataclasses
import math
import pathlib
from collections.abc import Iterable, Mapping
from typing import TypeVar

import numpy as np
from jaxtyping import Bool

from tagrec_jax.core import paths
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import DataSettings
from tagrec_jax.data.event_log import EventColumns, EventLog
from tagrec_jax.data.k_core import k_core
from tagrec_jax.data.order import met, ordered, timed_people, untimed
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
_KNOWN_IDS = 2**16  # that need no second look

Described = TypeVar("Described", Item, Tag, Person)


@dataclasses.dataclass(frozen=True)
class Cleaned:
  """What is left.

  Attributes:
    items: by id; those of events nobody described have only their id, those
      without events are kept.
    tags, people: what was said of them, by id; of most nothing is.
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


def clean(
  records: Iterable[Record | EventColumns], settings: DataSettings
) -> Cleaned:
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
  gathered = _Gathered(paths.cache_folder(settings.cache_dir))
  for record in records:
    gathered.add(record)
  counts, raw = gathered.counts, gathered.events
  timed = timed_people(raw)
  gathered.refuse_untimed(timed)
  gathered.check(settings.max_bad_rows)
  events = ordered(raw, timed, settings.min_rating, counts)
  total = len(raw)
  del raw, gathered.events  # its file is as long as the other
  events = k_core(events, settings, counts)
  if total and not events:
    raise UserError(
      "config.data",
      f"no event of {total:,} is left ({_top(counts)})",
      "some",
      "lower min_rating, min_person_events, min_item_events or min_tag_posts",
    )
  for id in events.items.take(np.flatnonzero(met(events))).ids.to_pylist():
    if id not in gathered.items:
      gathered.items[id] = Item(id)
      counts["item known only from events"] += 1
  return Cleaned(
    gathered.items,
    gathered.tags,
    gathered.people,
    events,
    dict(+counts),
    gathered.rejections,
  )


class _Gathered:
  """Records in one form, apart by kind, and what was refused on the way."""

  def __init__(self, folder: pathlib.Path):
    self.items: dict[str, Item] = {}
    self.tags: dict[str, Tag] = {}
    self.people: dict[str, Person] = {}
    self.events = EventLog(folder=folder)
    self.counts: collections.Counter[str] = collections.Counter()
    self.rejections: list[Rejection] = []
    self._rows = 0
    self._refused: collections.Counter[str] = collections.Counter()
    self._good_ids: set[str] = set()

  def add(self, record: Record | EventColumns) -> None:
    if isinstance(record, EventColumns):
      self._rows += len(record)
      self.events.extend(record)
      return
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
    if len(self._good_ids) == _KNOWN_IDS:
      self._good_ids.clear()
    self._good_ids.add(id)
    return True

  def _reject(self, rejection: Rejection) -> None:
    field, reason = rejection.field, rejection.reason
    self._refused[f"{field}: {reason}" if field else reason] += 1
    if len(self.rejections) < KEPT_REJECTIONS:
      self.rejections.append(rejection)

  def refuse_untimed(self, timed: Bool[np.ndarray, " P"]) -> None:
    """Counts events that could only be judged beside the others."""
    for rows in self.events.parts():
      for event in self.events.events(rows[untimed(rows, timed)]):
        found = f"{event.person} {event.item}"
        self._reject(Rejection("events", 0, "time", "missing", found))

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
