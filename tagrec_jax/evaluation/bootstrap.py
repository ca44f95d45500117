"""How far a mean over people would move with other people."""

from __future__ import annotations

import numpy as np

from tagrec_jax.core import rng

_COUNTS_AT_ONCE = 2**22  # bounds memory: 32 MB of counts


def interval(
  values_P: np.ndarray, samples: int, seed: int
) -> tuple[float, float]:
  """95 % percentile interval of the mean.

  A resample of P people matters only through how often each distinct value is
  drawn, so those counts are drawn directly (multinomial). Rank metrics have at
  most K + 1 distinct values, which makes this thousands of times cheaper than
  drawing people, with the same distribution.

  Args:
    values_P: one number a person, at least one person.
    samples: resamples, at least 1.
    seed: of the resamples; the order of people does not matter.

  Returns:
    The 2.5 % and 97.5 % percentiles of the resampled means.

  Source: Efron, 1979, 'Bootstrap methods: another look at the jackknife'.
  """
  distinct, counts = np.unique(values_P, return_counts=True)
  generator = rng.named_generator(seed, "bootstrap")
  people = counts.sum()
  at_once = max(1, _COUNTS_AT_ONCE // len(distinct))
  means = [
    generator.multinomial(people, counts / people, min(at_once, samples - done))
    @ distinct
    / people
    for done in range(0, samples, at_once)
  ]
  low, high = np.percentile(np.concatenate(means), (2.5, 97.5))
  return float(low), float(high)
