"""The densest part of a log: who and what is met often enough, together."""

from __future__ import annotations

import collections
import dataclasses

import numpy as np
from jaxtyping import Bool

from tagrec_jax.core.settings import DataSettings
from tagrec_jax.data.event_log import EventLog, add_counts


def k_core(
  log: EventLog, settings: DataSettings, counts: collections.Counter[str]
) -> EventLog:
  """Leaves out sparse people, products and tags until none is left.

  A post that has lost all of its tags goes, an event that never had any stays.
  Whoever is sparse once stays so: an event is left if its person, its product
  and one of its tags are, and nothing need be remembered of each event.

  Source: the p-core of Jäschke et al. 2007, with a limit for each kind.

  Args:
    log: its people have numbers in the order of their ids.
    counts: takes reason → what was left out.

  Returns:
    A log of the people who are left, in the same order.
  """
  given = _Given(log)
  left = _Left.all_of(log)
  met = _Met.of(log, left)
  while True:
    before = met
    few_people = met.few("people", settings.min_person_events)
    few_items = met.few("items", settings.min_item_events)
    if few_people.any() or few_items.any():
      left.people &= ~few_people
      left.items &= ~few_items
      met = _Met.of(log, left)
    of_people = int(before.people[few_people].sum())
    counts["person below min_person_events"] += of_people
    counts["item below min_item_events"] += (
      before.events - met.events - of_people
    )
    if settings.min_tag_posts > 1:
      counts["tag below min_tag_posts"] += given.leave_out(
        met.said, settings.min_tag_posts
      )
      if (left.said & ~given.left).any():
        left.said &= given.left
        met = _Met.of(log, left)
    if met.events == before.events:
      break
  return _written(log, left, met.people > 0, given.shorter())


@dataclasses.dataclass
class _Left:
  """Which people, products and things said are left.

  Attributes:
    people: bool [P]. items: bool [C]. said: bool [T].
  """

  people: np.ndarray
  items: np.ndarray
  said: np.ndarray

  @classmethod
  def all_of(cls, log: EventLog) -> _Left:
    sizes = len(log.people), len(log.items), len(log.said)
    return cls(*(np.ones(size, bool) for size in sizes))

  def __call__(self, rows: np.ndarray) -> np.ndarray:
    """A copy of the events that are left."""
    keep = self.people[rows["person"]] & self.items[rows["item"]]
    return rows[keep & self.said[rows["said"]]]


@dataclasses.dataclass(frozen=True)
class _Met:
  """In how many events each person, product and thing said is.

  Attributes:
    people: int64 [P]. items: int64 [C]. said: int64 [T].
  """

  people: np.ndarray
  items: np.ndarray
  said: np.ndarray

  @classmethod
  def of(cls, log: EventLog, left: _Left) -> _Met:
    """Counts the events that are left."""
    sizes = len(left.people), len(left.items), len(left.said)
    met = cls(*(np.zeros(size, np.int64) for size in sizes))
    for part in log.parts():
      rows = left(part)
      add_counts(met.people, rows["person"])
      add_counts(met.items, rows["item"])
      add_counts(met.said, rows["said"])
    return met

  @property
  def events(self) -> int:
    return int(self.people.sum())

  def few(self, name: str, least: int) -> Bool[np.ndarray, " N"]:
    met = getattr(self, name)
    return (met > 0) & (met < least)


class _Given:
  """Tags of all that is said.

  Attributes:
    left: bool [T], which still has a tag, or never had any.
  """

  def __init__(self, log: EventLog):
    self._log = log
    names: dict[str, int] = {}
    rows = [
      [names.setdefault(tag, len(names)) for tag in tags]
      for tags, _ in log.said
    ]
    lengths = [len(row) for row in rows]
    self._of = np.repeat(np.arange(len(rows)), lengths)
    self._tags = np.array([tag for row in rows for tag in row], np.int64)
    self._kept = np.ones(len(names), bool)
    self.left = np.ones(len(rows), bool)

  def leave_out(self, said: np.ndarray, least: int) -> int:
    """Drops tags of too few posts.

    Args:
      said: int64 [T], by how many posts.

    Returns:
      How many assignments were dropped.
    """
    posts = np.zeros(len(self._kept), np.int64)
    np.add.at(posts, self._tags, said[self._of])
    few = self._kept & (posts > 0) & (posts < least)
    self._kept &= ~few
    with_tags = np.zeros(len(self.left), bool)
    with_tags[self._of] = True
    with_tags[self._of[self._kept[self._tags]]] = False
    self.left &= ~with_tags
    return int(posts[few].sum())

  def shorter(self) -> np.ndarray:
    """What is said without the tags that were dropped, as numbers [T]."""
    numbers = np.arange(len(self.left), dtype=np.int32)
    for number in np.unique(self._of[~self._kept[self._tags]]).tolist():
      tags, categories = self._log.said[number]
      begin = np.searchsorted(self._of, number)
      kept = self._kept[self._tags[begin : begin + len(tags)]].tolist()
      short = tuple(tag for tag, stays in zip(tags, kept, strict=True) if stays)
      numbers[number] = self._log.say((short, categories))
    return numbers


def _written(
  log: EventLog, left: _Left, kept: np.ndarray, said: np.ndarray
) -> EventLog:
  """The events that are left, with new numbers.

  Args:
    kept: bool [P], who has events.
    said: int32 [T].
  """
  nothing = np.array_equal(said, np.arange(len(said)))
  if nothing and kept.all() and left.items.all() and left.said.all():
    return log
  row_of = np.cumsum(kept, dtype=np.int32) - 1
  found = log.like(log.people.take(np.flatnonzero(kept)))
  for part in log.parts():
    rows = left(part)
    rows["person"] = row_of[rows["person"]]
    rows["said"] = said[rows["said"]]
    found.append_rows(rows)
  return found
