"""Events in the order of people and time, without repetitions.

Events go through memory part after part, and when they are sorted, those of
some people at a time: what stays in memory is a few numbers for each person
and product.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool

from tagrec_jax.data.dataset import NO_TIME
from tagrec_jax.data.event_log import NO_RATING, ROW, EventLog, add_counts
from tagrec_jax.data.spill import Spill

SORTED = 2**18
"""Events that are sorted at a time, as far as one person has no more."""

_MOST_GROUPS = 256  # each is an open file


def timed_people(log: EventLog) -> Bool[np.ndarray, " P"]:
  """Who has events with a time."""
  timed = np.zeros(len(log.people), bool)
  for rows in log.parts():
    timed[rows["person"][rows["time"] != NO_TIME]] = True
  return timed


def untimed(
  rows: np.ndarray, timed: Bool[np.ndarray, " P"]
) -> Bool[np.ndarray, " N"]:
  """Events without a time, of people whose other events have one.

  They cannot be put in order.
  """
  return (rows["time"] == NO_TIME) & timed[rows["person"]]


def ordered(
  log: EventLog,
  timed: Bool[np.ndarray, " P"],
  min_rating: float,
  counts: collections.Counter[str],
) -> EventLog:
  """Sorts events by person, then time, and leaves out some.

  Events that cannot be put in order (`untimed`) go without being counted,
  repeated ones, and those rated below `min_rating`, if it is not 0. Events of
  one second, or without times, stay as they came.

  Args:
    timed: see `timed_people`.

  Returns:
    A log whose people have numbers in the order of their ids.
  """
  order = log.people.order()
  ranks = np.empty(len(order), np.int32)
  ranks[order] = np.arange(len(order))
  found = log.like(log.people.take(order))
  repeated = low = 0
  for group in _groups(log, timed, ranks):
    in_order = group[np.lexsort((group["time"], group["person"]))]
    rows = _merged(in_order, found)
    repeated += len(group) - len(rows)
    if min_rating:
      is_low = rows["rating"] < min_rating  # NaN, where there is none, is not
      low += int(is_low.sum())
      found.append_rows(rows[~is_low])
    else:
      found.append_rows(rows)
  counts["repeated event"] += repeated
  counts["rated below min_rating"] += low
  return found


def met(log: EventLog) -> Bool[np.ndarray, " C"]:
  """Which products events are of."""
  found = np.zeros(len(log.items), bool)
  for rows in log.parts():
    found[rows["item"]] = True
  return found


def _groups(
  log: EventLog, timed: np.ndarray, ranks: np.ndarray
) -> Iterator[np.ndarray]:
  """Events that can be put in order, with ranks for people, as they came.

  All events of some people, then of those who come after them.
  """
  size = max(SORTED, len(log) // _MOST_GROUPS)
  if len(log) <= size:
    parts = list(_ranked(log, timed, ranks))
    if parts:
      yield np.concatenate(parts)
    return
  counts = np.zeros(len(ranks), np.int64)
  for rows in _ranked(log, timed, ranks):
    add_counts(counts, rows["person"])
  group_of = (np.cumsum(counts) - counts) // size
  groups = [Spill(ROW, log.folder, 0) for _ in range(group_of[-1] + 1)]
  for rows in _ranked(log, timed, ranks):
    numbers = group_of[rows["person"]]
    order = np.argsort(numbers, kind="stable")
    lengths = np.bincount(numbers)
    ends = np.cumsum(lengths)
    for number in np.flatnonzero(lengths).tolist():
      end = ends[number]
      groups[number].append(rows[order[end - lengths[number] : end]])
  while groups:
    group = groups.pop(0)
    if len(group):
      yield np.concatenate(list(group.parts()))


def _ranked(
  log: EventLog, timed: np.ndarray, ranks: np.ndarray
) -> Iterator[np.ndarray]:
  for part in log.parts():
    rows = part[~untimed(part, timed)]
    rows["person"] = ranks[rows["person"]]
    yield rows


def _merged(rows: np.ndarray, log: EventLog) -> np.ndarray:
  """Events without repeated ones, the first of which takes over what they add.

  Without times there are none: order alone cannot tell a repetition from a
  second purchase.

  Args:
    rows: by person and time.
    log: whose rows they are.
  """
  same = rows["time"][1:] == rows["time"][:-1]
  same &= rows["person"][1:] == rows["person"][:-1]
  same &= rows["time"][1:] != NO_TIME
  # Places of events that share their second, by product.
  places = np.flatnonzero(np.append(same, False) | np.append(False, same))
  near = rows[places]
  order = np.lexsort((near["item"], near["time"], near["person"]))
  places, near = places[order], near[order]
  begins = np.ones(len(places), bool)
  begins[1:] = False
  for name in ("person", "time", "item"):
    begins[1:] |= near[name][1:] != near[name][:-1]
  if begins.all():
    return rows
  starts = np.flatnonzero(begins)
  # The first rating of each, where there is one.
  rated = np.where(np.isnan(near["rating"]), len(near), np.arange(len(near)))
  first = np.minimum.reduceat(rated, starts)
  ratings = np.append(near["rating"], NO_RATING)[first]
  rows["rating"][places[starts]] = ratings
  ends = np.append(starts[1:], len(near))
  talks = np.maximum.reduceat(near["said"], starts) > 0
  several = np.flatnonzero(talks & (ends > starts + 1))
  for start, end in zip(starts[several], ends[several], strict=True):
    together = _say_together(near["said"][start:end].tolist(), log)
    rows["said"][places[start]] = together
  keep = np.ones(len(rows), bool)
  keep[places[~begins]] = False
  return rows[keep]


def _say_together(numbers: list[int], log: EventLog) -> int:
  """What the first says, then what others add."""
  said = [log.said[number] for number in numbers]
  tags = dict.fromkeys(tag for tags, _ in said for tag in tags)
  together: dict[str, str] = {}
  for _, categories in reversed(said):
    together |= categories
  return log.say((tuple(tags), together))
