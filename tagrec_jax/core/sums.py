"""Losses and metrics as sums, so that merging never averages averages."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Sum:
  """A weighted total; the mean is taken once, at the end.

  Attributes:
    total: Σ weight · value, a scalar.
    weight: Σ weight, a scalar.
  """

  total: Any
  weight: Any

  def merge(self, other: Sum) -> Sum:
    return Sum(self.total + other.total, self.weight + other.weight)

  def mean(self) -> Any:
    """total / weight; 0 where nothing was counted."""
    return self.total / jnp.maximum(self.weight, 1e-8)
