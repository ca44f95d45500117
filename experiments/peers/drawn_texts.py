"""Texts that all contestants encode, and a number of what they found."""

from __future__ import annotations

import numpy as np

_WORDS = (
  *("the", "of", "and", "for", "with", "in", "small", "large", "red", "strong"),
  *("cable", "lamp", "leather", "wireless", "keyboard", "steel", "bottle"),
  *("garden", "wooden", "chair", "running", "shoes", "cotton", "kitchen"),
  *("camera", "battery", "waterproof", "library", "program", "simple", "tools"),
)


def draw(count: int, longest: int) -> list[str]:
  """Texts of 3 to `longest` words; as many short as long on a log scale."""
  random = np.random.default_rng(0)
  lengths = np.exp(random.uniform(np.log(3), np.log(longest + 1), count))
  return [" ".join(random.choice(_WORDS, size)) for size in lengths.astype(int)]


def checksum(vectors_ND: np.ndarray) -> float:
  """One number of all vectors, in which their order counts."""
  weights = np.arange(vectors_ND.size).reshape(vectors_ND.shape) % 7
  return float((np.abs(vectors_ND) * weights).mean())
