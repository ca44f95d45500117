"""A measure kept question by question, so that two models are compared.

Both were asked the same questions, and what makes one hard makes it hard for
both: the interval of their difference is narrower than those of either.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tagrec_jax.evaluation import bootstrap, metrics

TAG_MEASURES = {
  "P@1": "precision@1",
  "P@3": "precision@3",
  "P@5": "precision@5",
  "nDCG@5": "ndcg@5",
  "PSP@5": "psp@5",
}
"""As papers write them → as `evaluation.metrics` does."""


@dataclasses.dataclass(frozen=True)
class Measured:
  """One measure of one model: a sum over questions by another.

  Attributes:
    gains_Q: what each question brought.
    weights_Q: what it is divided by.
  """

  gains_Q: np.ndarray
  weights_Q: np.ndarray

  def by(self, who_Q: np.ndarray | None) -> Measured:
    """The same person by person, each of them counted once.

    Args:
      who_Q: whose question each is; None leaves all as it is.
    """
    if who_Q is None:
      return self
    columns_Q2 = np.stack([self.gains_Q, self.weights_Q], axis=1)
    return Measured(*bootstrap.means_of(columns_Q2, who_Q).T)

  @property
  def value(self) -> float:
    return float(self.gains_Q.sum() / self.weights_Q.sum())

  def interval(self, samples: int, seed: int) -> tuple[float, float]:
    """95 %, over resamples of the questions."""
    return bootstrap.interval(self.gains_Q, samples, seed, self.weights_Q)


def measured(name: str, ranks_QM: np.ndarray, gains_QM: np.ndarray) -> Measured:
  """One rank or gain metric.

  Args:
    name: such as 'precision@5' or 'psp@5'.
    ranks_QM: of a report.
    gains_QM: what each right entry is worth; read by gain metrics only.
  """
  metric, k = metrics.parse(name)
  if metric in metrics.GAIN_METRICS:
    return Measured(*metrics.GAIN_METRICS[metric](ranks_QM, gains_QM, k))
  gains_Q = metrics.RANK_METRICS[metric](ranks_QM, k)
  return Measured(gains_Q, np.ones(len(gains_Q)))


def mean(runs: Sequence[Measured]) -> Measured:
  """Of runs that were asked the same questions, such as several seeds."""
  return Measured(
    np.mean([run.gains_Q for run in runs], axis=0),
    np.mean([run.weights_Q for run in runs], axis=0),
  )


def difference(
  ours: Measured, theirs: Measured, samples: int, seed: int
) -> tuple[float, float]:
  """95 % interval of ours - theirs, over resamples of their questions."""
  gains_Q = ours.gains_Q - theirs.gains_Q
  return bootstrap.interval(gains_Q, samples, seed, ours.weights_Q)
