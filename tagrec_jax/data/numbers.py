"""Quantities of any size, such as prices, as numbers about 0."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Float32

MAX_NUMBER = 5.0
"""Standardised numbers are clipped to ± this."""

Numbers = Mapping[str, float]


def learn(
  records: Sequence[Numbers], names: Sequence[str]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
  """What is taken from each logarithm, and what the rest is divided by.

  Medians and distances of quartiles, which one absurd price does not move.
  """
  centers, scales = [], []
  for column in _logarithms(records, names).T:
    known = column[~np.isnan(column)]
    if not len(known):
      known = np.zeros(1)
    low, middle, high = np.percentile(known, (25, 50, 75))
    # Where most numbers are equal, the few others still have a spread.
    spread = (high - low) or known.std() or 1.0
    # Rounded for the same reason as the numbers themselves.
    centers.append(float(f"{middle:.9g}"))
    scales.append(float(f"{spread:.9g}"))
  return tuple(centers), tuple(scales)


def rows(
  records: Sequence[Numbers],
  names: Sequence[str],
  centers: Sequence[float],
  scales: Sequence[float],
) -> Float32[np.ndarray, "N names"]:
  """Standardised numbers; NaN where there is none or it is not finite."""
  standard = (_logarithms(records, names) - np.array(centers)) / np.array(
    scales
  )
  # Rounded: the last bits of a logarithm differ between processors.
  rounded = np.round(np.clip(standard, -MAX_NUMBER, MAX_NUMBER), 4)
  return rounded.astype(np.float32) + 0.0  # no -0.0


def _logarithms(
  records: Sequence[Numbers], names: Sequence[str]
) -> Float[np.ndarray, "N names"]:
  """sign(x) · log(1 + |x|) of each number; NaN where there is none."""
  table = np.full((len(records), len(names)), np.nan)
  for row, numbers in enumerate(records):
    for column, name in enumerate(names):
      value = numbers.get(name, math.nan)
      if math.isfinite(value):
        table[row, column] = value
  return np.sign(table) * np.log1p(np.abs(table))
