"""How good lists of tags are, question by question, so that two are paired."""

from __future__ import annotations

import dataclasses

import numpy as np

from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.spec import TAGS
from tagrec_jax.data.tag_counts import TagCounts
from tagrec_jax.evaluation import bootstrap, metrics

MEASURES = {
  "P@1": "precision@1",
  "P@3": "precision@3",
  "P@5": "precision@5",
  "nDCG@5": "ndcg@5",
  "PSP@5": "psp@5",
}
"""As papers write them → as `evaluation.metrics` does."""

_LONGEST = 5  # places that any of them looks at


@dataclasses.dataclass(frozen=True)
class Measured:
  """One measure of one contestant: a sum over questions by another.

  Attributes:
    gains_Q: what each question brought.
    weights_Q: what it is divided by.
  """

  gains_Q: np.ndarray
  weights_Q: np.ndarray

  @property
  def value(self) -> float:
    return float(self.gains_Q.sum() / self.weights_Q.sum())


def measure(
  ids_QK: np.ndarray, dataset: Dataset, rows: np.ndarray
) -> dict[str, Measured]:
  """The measures of one contestant.

  Args:
    ids_QK: tags, best first, -1 for none.
    rows: [Q] the products asked, each with a tag at least.
  """
  relevant_QM = dataset.product[TAGS][rows]
  ranks_QM = _ranks(ids_QK, relevant_QM)
  counts = TagCounts.of(dataset).with_new(dataset.spec.num_new_tags)
  gains_QM = (1 / counts.propensities())[np.maximum(relevant_QM, 0)]
  found = {}
  for name, of in MEASURES.items():
    metric, k = metrics.parse(of)
    if metric in metrics.GAIN_METRICS:
      found[name] = Measured(
        *metrics.GAIN_METRICS[metric](ranks_QM, gains_QM, k)
      )
    else:
      gains_Q = metrics.RANK_METRICS[metric](ranks_QM, k)
      found[name] = Measured(gains_Q, np.ones(len(rows)))
  return found


def difference(
  ours: Measured, theirs: Measured, samples: int, seed: int
) -> tuple[float, float]:
  """95 % interval of ours - theirs, over resamples of their questions."""
  gains_Q = ours.gains_Q - theirs.gains_Q
  return bootstrap.interval(gains_Q, samples, seed, ours.weights_Q)


def _ranks(ids_QK: np.ndarray, relevant_QM: np.ndarray) -> np.ndarray:
  """Places from 1, those after all that count for tags not named; 0 pads."""
  hits_QMK = relevant_QM[:, :, None] == ids_QK[:, None, :_LONGEST]
  ranks_QM = np.where(
    hits_QMK.any(axis=2), hits_QMK.argmax(axis=2) + 1, _LONGEST + 1
  )
  return np.where(relevant_QM >= 0, ranks_QM, 0)
