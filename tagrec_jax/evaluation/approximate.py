"""What an approximate search finds of the exact lists."""

from __future__ import annotations

import jax
import numpy as np

from tagrec_jax.decoding import tiles
from tagrec_jax.decoding.tiles import Rows


class Found:
  """Counts what `evaluation.approximate_recall` finds of exact lists.

  Both leave out what a person has seen, as lists for people do.

  Args:
    recall: that is asked for. k: length of the lists.
  """

  def __init__(self, recall: float, k: int):
    self._recall, self._k = recall, k
    self._found = self._wanted = 0

  def add(self, rows: Rows, seen_BH: np.ndarray, asked_B: np.ndarray) -> None:
    """Searches the lists of one batch twice."""
    exact_BK, _ = tiles.top_k(rows, self._k, seen_BH)
    found_BK, _ = tiles.top_k(rows, self._k, seen_BH, self._recall)
    exact, found = np.asarray(exact_BK)[asked_B], np.asarray(found_BK)[asked_B]
    there = exact >= 0
    for wanted_K, found_K in zip(exact, found, strict=True):
      self._found += int(np.isin(wanted_K[wanted_K >= 0], found_K).sum())
    self._wanted += int(there.sum())

  def told(self) -> str:
    """The recall asked for and the one that was found."""
    recall = self._found / max(self._wanted, 1)
    exact = "" if jax.default_backend() == "tpu" else ", exact on this device"
    return (
      f"asked for {self._recall:g}, found {recall:.4f} of the best"
      f" {self._k}{exact}; metrics are of exact ones"
    )
