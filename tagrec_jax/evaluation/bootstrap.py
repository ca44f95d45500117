"""How far a mean over questions would move with other questions."""

from __future__ import annotations

import numpy as np

from tagrec_jax.core import rng

_COUNTS_AT_ONCE = 2**22  # bounds memory: 32 MB of counts


def interval(
  values_P: np.ndarray,
  samples: int,
  seed: int,
  weights_P: np.ndarray | None = None,
) -> tuple[float, float]:
  """95 % percentile interval of the mean, or of Σ values / Σ weights.

  A resample of P people matters only through how often each distinct value is
  drawn, so those counts are drawn directly (multinomial). Rank metrics have at
  most K + 1 distinct values, which makes this thousands of times cheaper than
  drawing people, with the same distribution.

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
    distinct, counts = np.unique(values_P, return_counts=True)
    distinct_E2 = np.stack([distinct, np.ones_like(distinct)], axis=1)
  else:
    distinct_E2, counts = np.unique(
      np.stack([values_P, weights_P], axis=1), axis=0, return_counts=True
    )
  generator = rng.named_generator(seed, "bootstrap")
  people = counts.sum()
  at_once = max(1, _COUNTS_AT_ONCE // len(counts))
  sums_S2 = np.concatenate(
    [
      generator.multinomial(
        people, counts / people, min(at_once, samples - done)
      )
      @ distinct_E2
      for done in range(0, samples, at_once)
    ]
  )
  # A resample of nothing but weights 0 says 0.
  means_S = sums_S2[:, 0] / np.maximum(sums_S2[:, 1], 1e-12)
  low, high = np.percentile(means_S, (2.5, 97.5))
  return float(low), float(high)
