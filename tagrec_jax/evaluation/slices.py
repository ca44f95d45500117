"""Where a model is good: by popularity, by history, and where all is new."""

from __future__ import annotations

import dataclasses

import numpy as np

from tagrec_jax.evaluation import metrics

SLICE_METRICS = ("recall@10", "ndcg@10")
POPULARITY = ("head", "middle", "tail", "unseen")
HISTORY = {"0": 0, "1-2": 1, "3-5": 3, "6-10": 6, "11-20": 11, "21+": 21}
"""Buckets of history length: name → the fewest events in it."""


@dataclasses.dataclass(frozen=True)
class Slice:
  """One row of the table.

  Attributes:
    group: what questions were divided by. name: which part this is.
    people: how many questions are in it.
    values: metric → mean over them.
  """

  group: str
  name: str
  people: int
  values: dict[str, float]


def item_popularity(counts_C: np.ndarray) -> np.ndarray:
  """The class of each item: index into POPULARITY, int8 [C].

  Items are ordered from the most frequent; head, middle and tail each hold
  about a third of training *events*. Items with equal counts are never parted:
  they belong to the third in which their group begins. Count 0 is 'unseen'.
  """
  values, inverse = np.unique(counts_C, return_inverse=True)
  events = values * np.bincount(inverse, minlength=len(values))
  more_popular = events[::-1].cumsum()[::-1] - events
  third = np.minimum(3 * more_popular // max(int(events.sum()), 1), 2)
  third = np.where(values == 0, POPULARITY.index("unseen"), third)
  return third.astype(np.int8)[inverse]


def by_popularity(
  ranks_PM: np.ndarray, target_P: np.ndarray, counts_C: np.ndarray
) -> list[Slice]:
  """Slices by how popular the target is; those not in training: 'unseen'."""
  part_P = _classes(target_P, counts_C)
  return _slices("target popularity", POPULARITY, part_P, ranks_PM)


def by_tag_popularity(
  ranks_PM: np.ndarray, relevant_PM: np.ndarray, counts_T: np.ndarray
) -> list[Slice]:
  """Slices by how popular tags are, each with regard to these tags alone.

  A question with tags of several classes is in all of their slices.
  """
  classes_PM = _classes(relevant_PM, counts_T)
  return [
    part
    for index, name in enumerate(POPULARITY)
    for part in of_tags(
      "tag popularity",
      name,
      np.where((relevant_PM >= 0) & (classes_PM == index), ranks_PM, 0),
    )
  ]


def of_tags(group: str, name: str, ranks_PM: np.ndarray) -> list[Slice]:
  """One slice of all questions that have any rank, or none."""
  part_P = np.where((ranks_PM > 0).any(axis=1), 0, -1)
  return _slices(group, (name,), part_P, ranks_PM)


def by_newness(
  group: str, new_P: np.ndarray, ranks_PM: np.ndarray
) -> list[Slice]:
  """'trained' and 'cold', where some are cold and others are not."""
  if new_P.all() or not new_P.any():
    return []
  return _slices(group, ("trained", "cold"), new_P.astype(int), ranks_PM)


def by_what_is_new(
  ranks_PM: np.ndarray,
  new_target_P: np.ndarray,
  question_P: np.ndarray,
  trained_Q: np.ndarray | None,
) -> list[Slice]:
  """By whether training had the item, and the person.

  Args:
    new_target_P: bool, whose item is new.
    question_P: the place of each answer among all questions.
    trained_Q: how much training had of the person of each question; None where
      it had something of all.
  """
  parts = by_newness("target product", new_target_P, ranks_PM)
  if trained_Q is not None:
    parts += by_newness("person", trained_Q[question_P] == 0, ranks_PM)
  return parts


def by_earlier_use(
  ranks_PM: np.ndarray, own_PM: np.ndarray, product_PM: np.ndarray
) -> list[Slice]:
  """By who gave a tag before, each with regard to these tags alone.

  Args:
    own_PM: bool, the person did. product_PM: bool, others gave it the product.
  """
  groups = {
    "by the person, to the product": own_PM & product_PM,
    "by the person alone": own_PM & ~product_PM,
    "to the product alone": ~own_PM & product_PM,
    "neither": ~own_PM & ~product_PM,
  }
  return [
    part
    for name, those_PM in groups.items()
    for part in of_tags("given before", name, np.where(those_PM, ranks_PM, 0))
  ]


def by_history(ranks_PM: np.ndarray, lengths_P: np.ndarray) -> list[Slice]:
  """Slices by how many events a person's history has."""
  part_P = np.searchsorted(list(HISTORY.values()), lengths_P, "right") - 1
  return _slices("history length", tuple(HISTORY), part_P, ranks_PM)


def _classes(ids: np.ndarray, counts_C: np.ndarray) -> np.ndarray:
  """Index into POPULARITY; 'unseen' for ids outside of training."""
  # One more class at the end: for what training does not know.
  classes = np.append(item_popularity(counts_C), POPULARITY.index("unseen"))
  known = (ids >= 0) & (ids < len(counts_C))
  return classes[np.where(known, ids, len(counts_C))]


def _slices(
  group: str, names: tuple[str, ...], part_P: np.ndarray, ranks_PM: np.ndarray
) -> list[Slice]:
  """One slice for each part that has people."""
  slices = []
  for index, name in enumerate(names):
    ranks = ranks_PM[part_P == index]
    if len(ranks):
      values = {
        metric: float(metrics.per_person(metric, ranks).mean())
        for metric in SLICE_METRICS
      }
      slices.append(Slice(group, name, len(ranks), values))
  return slices
