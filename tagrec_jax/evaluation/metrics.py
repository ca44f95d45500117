"""Every metric, by name; adding one touches this file and its test.

Rank metrics read `ranks_PM`: for each person the places (from 1) of the M
entries that would have been right, padded with 0. Next-item evaluation has
M = 1. List metrics read the recommended lists of all people together. Gain
metrics weigh each right entry, and compare sums over all people.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.registry import nearest

RankMetric = Callable[[np.ndarray, int], np.ndarray]
ListMetric = Callable[[np.ndarray, int, int], float]
GainMetric = Callable[
  [np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]
]


def _hits(ranks_PM: np.ndarray, k: int) -> np.ndarray:
  return (ranks_PM >= 1) & (ranks_PM <= k)


def _relevant(ranks_PM: np.ndarray) -> np.ndarray:
  """How many entries would have been right; 1 where none, so that 0/1 = 0."""
  return np.maximum((ranks_PM >= 1).sum(axis=1), 1)


def precision(ranks_PM: np.ndarray, k: int) -> np.ndarray:
  """Hits / k."""
  return _hits(ranks_PM, k).sum(axis=1) / k


def recall(ranks_PM: np.ndarray, k: int) -> np.ndarray:
  """Hits / relevant; with one target also called hit rate."""
  return _hits(ranks_PM, k).sum(axis=1) / _relevant(ranks_PM)


def f1(ranks_PM: np.ndarray, k: int) -> np.ndarray:
  """2 · hits / (k + relevant): the harmonic mean of precision and recall."""
  return 2 * _hits(ranks_PM, k).sum(axis=1) / (k + _relevant(ranks_PM))


def ndcg(ranks_PM: np.ndarray, k: int) -> np.ndarray:
  """Σ 1/log2(1 + rank) over hits, divided by its value for a perfect list.

  Source: Järvelin and Kekäläinen, 2002, 'Cumulated gain-based evaluation of
  IR techniques', with binary relevance.
  """
  gains_PM = np.where(
    _hits(ranks_PM, k), 1 / np.log2(1 + np.maximum(ranks_PM, 1)), 0.0
  )
  ideal = np.cumsum(1 / np.log2(np.arange(2, k + 2)))
  return gains_PM.sum(axis=1) / ideal[np.minimum(_relevant(ranks_PM), k) - 1]


def mrr(ranks_PM: np.ndarray, k: int) -> np.ndarray:
  """1 / the place of the first hit, 0 without one."""
  places_PM = np.where(_hits(ranks_PM, k), ranks_PM, np.inf)
  return 1 / places_PM.min(axis=1, initial=np.inf)


def coverage(lists_PK: np.ndarray, k: int, catalogue: int) -> float:
  """Fraction of the catalogue that is in anybody's list of k."""
  shown = np.unique(lists_PK[:, :k])
  return float((shown >= 0).sum() / catalogue)


def psp(
  ranks_PM: np.ndarray, gains_PM: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
  """Σ of the gains of hits, and its value for the best possible list.

  With gains of 1/propensity the ratio of their sums over all people is the
  propensity-scored precision, divided by the best that can be reached.

  Source: Jain, Prabhu and Varma, 2016 (see `TagCounts`).
  """
  won_P = np.where(_hits(ranks_PM, k), gains_PM, 0.0).sum(axis=1)
  possible_PM = np.sort(np.where(ranks_PM >= 1, gains_PM, 0.0), axis=1)
  return won_P, possible_PM[:, ::-1][:, :k].sum(axis=1)


RANK_METRICS: dict[str, RankMetric] = {
  "precision": precision,
  "recall": recall,
  "f1": f1,
  "ndcg": ndcg,
  "mrr": mrr,
}
LIST_METRICS: dict[str, ListMetric] = {"coverage": coverage}
GAIN_METRICS: dict[str, GainMetric] = {"psp": psp}

ITEM_METRICS = ("recall", "ndcg", "mrr", "coverage")
"""Reported for the next item: one target a person."""
TAG_METRICS = ("precision", "recall", "f1", "ndcg", "psp", "coverage")
"""Reported for tags: several relevant ones a person."""


def parse(name: str, where: str = "metric") -> tuple[str, int]:
  """'ndcg@10' → ('ndcg', 10).

  Args:
    where: the config field that holds the name, for the error.

  Raises:
    UserError: the metric is unknown or the cutoff is no positive number.
  """
  metric, _, cutoff = name.partition("@")
  known = sorted({**RANK_METRICS, **LIST_METRICS, **GAIN_METRICS})
  if metric not in known:
    raise UserError(
      where,
      f"found '{name}'",
      f"one of {', '.join(known)} with a cutoff, such as ndcg@10",
      nearest(metric, known),
    )
  if not (cutoff.isascii() and cutoff.isdigit() and int(cutoff) > 0):
    raise UserError(
      where, f"found '{name}'", "a cutoff of at least 1", f"use '{metric}@10'"
    )
  return metric, int(cutoff)


def per_person(name: str, ranks_PM: np.ndarray) -> np.ndarray:
  """The values of one rank metric, float64 [P]."""
  metric, cutoff = parse(name)
  return RANK_METRICS[metric](ranks_PM, cutoff)
