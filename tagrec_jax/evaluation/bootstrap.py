"""How far a mean over questions would move with other questions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tagrec_jax.core import rng

_COUNTS_AT_ONCE = 2**22  # bounds memory: 32 MB of counts
_LEVELS = 1024  # of a number that nearly all people have a different one of


def interval(
  values_P: np.ndarray,
  samples: int,
  seed: int,
  weights_P: np.ndarray | None = None,
) -> tuple[float, float]:
  """95 % percentile interval of the mean, or of Σ values / Σ weights.

  Args:
    values_P: one number a person, at least one person.
    samples: resamples, at least 1.
    seed: of the resamples; the order of people does not matter.
    weights_P: above 0 of at least one person; None: all 1.

  Returns:
    The 2.5 % and 97.5 % percentiles of the resampled means.

  Source: Efron, 1979, 'Bootstrap methods: another look at the jackknife'.
  """
  if weights_P is None:
    weights_P = np.ones_like(values_P)
  columns_P2 = np.stack([values_P, weights_P], axis=1)
  sums_S2 = _resampled_sums(columns_P2, samples, seed)
  # A resample of nothing but weights 0 says 0.
  return _middle(sums_S2[:, 0] / np.maximum(sums_S2[:, 1], 1e-12))


def interval_of_means(
  columns_PE: np.ndarray,
  combine: Callable[[np.ndarray], np.ndarray],
  samples: int,
  seed: int,
) -> tuple[float, float]:
  """95 % percentile interval of what is made of several means.

  Args:
    columns_PE: E numbers a person.
    combine: means [S, E] → [S].
    samples, seed: see `interval`.
  """
  if columns_PE.shape[1] == 1:
    columns_PE = _leveled(columns_PE)
  sums_SE = _resampled_sums(columns_PE, samples, seed)
  return _middle(combine(sums_SE / len(columns_PE)))


def means_of(columns_QE: np.ndarray, who_Q: np.ndarray) -> np.ndarray:
  """The means over the questions of each person, [P, E].

  Args:
    who_Q: whose question each is.
  """
  _, row_Q, count_P = np.unique(who_Q, return_inverse=True, return_counts=True)
  sums_PE = np.zeros((len(count_P), columns_QE.shape[1]))
  np.add.at(sums_PE, row_Q, columns_QE)
  return sums_PE / count_P[:, None]


def _resampled_sums(
  columns_PE: np.ndarray, samples: int, seed: int
) -> np.ndarray:
  """Sums over resamples of people, float64 [S, E].

  A resample of P people matters only through how often each distinct row is
  drawn, so those counts are drawn directly (multinomial). Rank metrics have at
  most K + 1 distinct values, which makes this thousands of times cheaper than
  drawing people, with the same distribution.
  """
  distinct_XE, counts = np.unique(columns_PE, axis=0, return_counts=True)
  generator = rng.named_generator(seed, "bootstrap")
  people = counts.sum()
  at_once = max(1, _COUNTS_AT_ONCE // len(counts))
  return np.concatenate(
    [
      generator.multinomial(
        people, counts / people, min(at_once, samples - done)
      )
      @ distinct_XE
      for done in range(0, samples, at_once)
    ]
  )


def _leveled(values_P1: np.ndarray) -> np.ndarray:
  """The values, or the nearest of `_LEVELS` even ones, with the same mean.

  Rounding moves the interval by far less than a level, and makes that of a
  measure like novelty cost what others do.
  """
  if len(np.unique(values_P1)) <= _LEVELS:
    return values_P1
  low, high = values_P1.min(), values_P1.max()
  step = (high - low) / (_LEVELS - 1)
  rounded_P1 = low + step * np.round((values_P1 - low) / step)
  return rounded_P1 + (values_P1.mean() - rounded_P1.mean())


def _middle(values_S: np.ndarray) -> tuple[float, float]:
  low, high = np.percentile(values_S, (2.5, 97.5))
  return float(low), float(high)
