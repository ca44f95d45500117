"""How good lists of tags are, question by question, so that two are paired."""

from __future__ import annotations

import numpy as np

from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.spec import TAGS
from tagrec_jax.data.tag_counts import TagCounts
from tagrec_jax.evaluation import paired
from tagrec_jax.evaluation.paired import TAG_MEASURES, Measured

_LONGEST = 5  # places that any of them looks at


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
  return {
    name: paired.measured(of, ranks_QM, gains_QM)
    for name, of in TAG_MEASURES.items()
  }


def _ranks(ids_QK: np.ndarray, relevant_QM: np.ndarray) -> np.ndarray:
  """Places from 1, those after all that count for tags not named; 0 pads."""
  hits_QMK = relevant_QM[:, :, None] == ids_QK[:, None, :_LONGEST]
  ranks_QM = np.where(
    hits_QMK.any(axis=2), hits_QMK.argmax(axis=2) + 1, _LONGEST + 1
  )
  return np.where(relevant_QM >= 0, ranks_QM, 0)
