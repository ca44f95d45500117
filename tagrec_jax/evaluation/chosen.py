"""How good the sets of tags are that a calibrated rule chooses."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from tagrec_jax.evaluation.answers import Rules
from tagrec_jax.evaluation.calibrate import Calibration
from tagrec_jax.evaluation.report import Report


class Chosen:
  """Counts chosen, right and hit tags, by product and by tag.

  Args:
    calibration: the rule, found on other products.
    size: tags, also those that came after training.
  """

  def __init__(self, calibration: Calibration, size: int):
    self._calibration = calibration
    self._chosen = np.zeros(size, np.int64)
    self._right = np.zeros(size, np.int64)
    self._hits = np.zeros(size, np.int64)

  def add(
    self, scores_BC: jax.Array, relevant_BM: np.ndarray, keep_B: np.ndarray
  ) -> dict[str, np.ndarray]:
    """Takes a batch; gives, of each product, what an F1 is made of.

    Args:
      relevant_BM: distinct, padded by UNKNOWN.
      keep_B: which rows are asked about.
    """
    chosen_BC = np.asarray(self._calibration.chosen(jnp.asarray(scores_BC)))
    chosen_BC = chosen_BC & keep_B[:, None]
    there_BM = (relevant_BM >= 0) & keep_B[:, None]
    size = chosen_BC.shape[1]
    rows_BM = np.arange(len(relevant_BM))[:, None]
    hit_BM = chosen_BC[rows_BM, np.clip(relevant_BM, 0, size - 1)]
    hit_BM &= there_BM & (relevant_BM < size)
    self._chosen[:size] += chosen_BC.sum(axis=0)
    length = len(self._right)
    self._right += np.bincount(relevant_BM[there_BM], minlength=length)
    self._hits += np.bincount(relevant_BM[hit_BM], minlength=length)
    return {
      "chosen_hits": hit_BM.sum(axis=1),
      "chosen_or_right": chosen_BC.sum(axis=1) + there_BM.sum(axis=1),
    }

  def told(
    self, rules: Rules, report: Report, found: dict[str, np.ndarray]
  ) -> Report:
    """The report with micro-F1, macro-F1 and how many tags were chosen.

    Macro-F1 is the mean over the tags that are right, or chosen, at least once.
    """
    hits_P = 2.0 * found["chosen_hits"]
    both_P = found["chosen_or_right"].astype(float)
    both_T = self._chosen + self._right
    f1_T = 2 * self._hits[both_T > 0] / both_T[both_T > 0]
    intervals = report.intervals
    if rules.bootstrap_samples:
      intervals = intervals | {"micro_f1": rules.interval(hits_P, both_P)}
    rule = self._calibration
    return dataclasses.replace(
      report,
      metrics=report.metrics
      | {
        "micro_f1": float(hits_P.sum() / both_P.sum()),
        "macro_f1": float(f1_T.mean()),
        "tags_chosen": float(self._chosen.sum() / len(hits_P)),
      },
      intervals=intervals,
      passport=report.passport
      | {"set of tags": f"by '{rule.rule}', threshold {rule.threshold:.6g}"},
    )
