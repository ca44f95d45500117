"""Every metric, by name; adding one touches this file and its test.

Rank metrics read `ranks_PM`: for each person the places (from 1) of the M
entries that would have been right, padded with 0. Next-item evaluation has
M = 1. Gain metrics weigh each right entry, and compare sums over all people.
Metrics of means combine the means of rank metrics. List metrics read each
person's list and what training knows of its entries, right or not; catalogue
metrics the lists of all people together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.registry import nearest
from tagrec_jax.evaluation.entries import Entries

RankMetric = Callable[[np.ndarray, int], np.ndarray]
ListMetric = Callable[[np.ndarray, int, Entries], np.ndarray]
CatalogueMetric = Callable[[np.ndarray, int, int], float]
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


def average_precision(ranks_PM: np.ndarray, k: int) -> np.ndarray:
  """Σ over hits of precision up to their place, / min(k, relevant).

  With this denominator a perfect list has 1 for any k. Averaged over people
  it is MAP@k.
  """
  places_PM = np.sort(np.where(_hits(ranks_PM, k), ranks_PM, np.inf), axis=1)
  hits_so_far_M = np.arange(1, places_PM.shape[1] + 1)
  total_P = (hits_so_far_M / places_PM).sum(axis=1)
  return total_P / np.minimum(_relevant(ranks_PM), k)


def _harmonic_mean(means_SE: np.ndarray) -> np.ndarray:
  """Of two columns; 0 where both are 0."""
  sums_S = means_SE.sum(axis=1)
  return 2 * means_SE.prod(axis=1) / np.where(sums_S > 0, sums_S, 1)


@dataclasses.dataclass(frozen=True)
class OfMeans:
  """A number that is made of means over people, and so has no value of one.

  Attributes:
    parts: the rank metrics that are averaged.
    combine: their means [S, E] → [S].
  """

  parts: tuple[str, ...]
  combine: Callable[[np.ndarray], np.ndarray]


def novelty(lists_PK: np.ndarray, k: int, entries: Entries) -> np.ndarray:
  """Mean information, in bits, of the entries of a list; 0 without any.

  An entry tells -log2 of its share in everything taken, or given, in training.

  Source: Zhou, Kuscsik, Liu, Medo, Wakeling and Zhang, 2010, 'Solving the
  apparent diversity-accuracy dilemma of recommender systems'; Vargas and
  Castells, 2011, 'Rank and relevance in novelty and diversity metrics for
  recommender systems' (free discovery).
  """
  shown_PK = lists_PK[:, :k]
  there_PK = shown_PK >= 0
  bits_PK = np.where(there_PK, entries.bits[np.maximum(shown_PK, 0)], 0.0)
  return bits_PK.sum(axis=1) / np.maximum(there_PK.sum(axis=1), 1)


def diversity(lists_PK: np.ndarray, k: int, entries: Entries) -> np.ndarray:
  """Mean over pairs of a list of 1 - cosine of their profiles.

  A list without a pair has 0. An entry without a profile is unlike all others.

  Source: Ziegler, McNee, Konstan and Lausen, 2005, 'Improving recommendation
  lists through topic diversification'; in the form of Vargas and Castells,
  2011, without weights of rank.
  """
  shown_PK = lists_PK[:, :k]
  count_P = (shown_PK >= 0).sum(axis=1)
  pairs_P = np.maximum(count_P * (count_P - 1), 1)
  return np.where(count_P > 1, 1 - entries.likeness(shown_PK) / pairs_P, 0.0)


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
  "map": average_precision,
}
GAIN_METRICS: dict[str, GainMetric] = {"psp": psp}
MEAN_METRICS: dict[str, OfMeans] = {
  "f1_of_means": OfMeans(("precision", "recall"), _harmonic_mean)
}
"""Papers on tags for posts write F1@k for the harmonic mean of mean precision
and mean recall: only so do the counts of a product's tags get the F1@5 of .1750
that is published for HetRec MovieLens, core 3. 'f1' is the mean over people of
their own F1, which is lower (.1680 there)."""
LIST_METRICS: dict[str, ListMetric] = {
  "novelty": novelty,
  "diversity": diversity,
}
CATALOGUE_METRICS: dict[str, CatalogueMetric] = {"coverage": coverage}

ITEM_METRICS = ("recall", "ndcg", "mrr", "coverage", "novelty", "diversity")
"""Reported for the next item: one target a person."""
TAG_METRICS = (
  *("precision", "recall", "f1", "ndcg", "psp"),
  *("coverage", "novelty", "diversity"),
)
"""Reported for tags: several relevant ones a person."""
POST_METRICS = (
  *("precision", "recall", "f1", "f1_of_means", "map", "mrr", "ndcg"),
  *("coverage", "novelty", "diversity"),
)
"""Reported for tags of posts."""


KNOWN = frozenset(
  {
    *RANK_METRICS,
    *GAIN_METRICS,
    *MEAN_METRICS,
    *LIST_METRICS,
    *CATALOGUE_METRICS,
  }
)


def parse(name: str, where: str = "metric") -> tuple[str, int]:
  """'ndcg@10' → ('ndcg', 10).

  Args:
    where: the config field that holds the name, for the error.

  Raises:
    UserError: the metric is unknown or the cutoff is no positive number.
  """
  metric, _, cutoff = name.partition("@")
  known = sorted(KNOWN)
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
