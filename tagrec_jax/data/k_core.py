"""The densest part of a log: who and what is met often enough, together."""

from __future__ import annotations

import collections
import dataclasses
import itertools

import numpy as np
from jaxtyping import Bool

from tagrec_jax.core.settings import DataSettings
from tagrec_jax.data.event_log import EventLog, Names


def k_core(
  events: EventLog,
  keep: Bool[np.ndarray, " E"],
  settings: DataSettings,
  counts: collections.Counter[str],
) -> Bool[np.ndarray, " E"]:
  """Leaves out sparse people, products and tags until none is left.

  Tags of too few posts are taken out of `events` itself; a post that has lost
  all of its tags goes, an event that never had any stays.

  Source: the p-core of Jäschke et al. 2007, with a limit for each kind.

  Args:
    keep: those that are still there.
    counts: takes reason → what was left out.
  """
  people, items = events.people, events.items
  given = _Given.of(events, keep, settings.min_tag_posts)
  left = keep.copy()
  while True:
    rows = np.flatnonzero(left)
    few_people = (
      np.bincount(people[rows])[people[rows]] < settings.min_person_events
    )
    few_items = np.bincount(items[rows])[items[rows]] < settings.min_item_events
    counts["person below min_person_events"] += int(few_people.sum())
    counts["item below min_item_events"] += int((few_items & ~few_people).sum())
    left[rows[few_people | few_items]] = False
    counts["tag below min_tag_posts"] += given.leave_out(left)
    if left.sum() == len(rows):
      break
  given.write(events, left)
  return left


@dataclasses.dataclass
class _Given:
  """Tags of posts, one after another.

  Attributes:
    posts: int64 [A], the event of each, ascending.
    tags: int64 [A], a number for each tag.
    least: posts that a tag must be in; 1: all tags stay.
    kept: bool [A].
  """

  posts: np.ndarray
  tags: np.ndarray
  least: int
  kept: np.ndarray

  @classmethod
  def of(
    cls, events: EventLog, keep: Bool[np.ndarray, " E"], least: int
  ) -> _Given:
    said = {
      place: tags
      for place, (tags, _) in sorted(events.said.items())
      if tags and keep[place] and least > 1
    }
    names, lengths = Names(), [len(tags) for tags in said.values()]
    every = itertools.chain.from_iterable(said.values())
    return cls(
      np.repeat(np.fromiter(said, np.int64, len(said)), lengths),
      np.fromiter(map(names.number, every), np.int64, sum(lengths)),
      least,
      np.ones(sum(lengths), bool),
    )

  def leave_out(self, left: np.ndarray) -> int:
    """Drops tags of too few posts among those left, and posts without any.

    Returns:
      How many assignments were dropped because of their tag.
    """
    if not len(self.posts):
      return 0
    self.kept &= left[self.posts]
    counts = np.bincount(self.tags[self.kept], minlength=self.tags.max() + 1)
    few = self.kept & (counts[self.tags] < self.least)
    self.kept &= ~few
    empty = np.zeros(len(left), bool)
    empty[self.posts] = True
    empty[self.posts[self.kept]] = False
    left &= ~empty
    return int(few.sum())

  def write(self, events: EventLog, left: np.ndarray) -> None:
    """Takes what was dropped out of the posts that are left."""
    shorter = np.unique(self.posts[~self.kept & left[self.posts]])
    begins = np.searchsorted(self.posts, shorter)
    for post, begin in zip(shorter.tolist(), begins.tolist(), strict=True):
      event = events[post]
      kept = self.kept[begin : begin + len(event.tags)].tolist()
      tags = tuple(itertools.compress(event.tags, kept))
      events.change(post, dataclasses.replace(event, tags=tags))
