"""What training says of the entries of a catalogue, for measures of lists."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from scipy import sparse

from tagrec_jax.core.axes import UNKNOWN

_LISTS_AT_ONCE = 4096  # bounds memory: sums of profiles held at a time


@dataclasses.dataclass(frozen=True)
class Entries:
  """How often products or tags occur in training, and with what.

  Attributes:
    counts: int [C], how often each was taken, or given.
    profiles: sparse [C, X], what makes entries alike; None for not known.
    told: what profiles are, for the passport.
  """

  counts: np.ndarray
  profiles: sparse.csr_array | None = None
  told: str = ""

  @functools.cached_property
  def bits(self) -> np.ndarray:
    """-log2 of the share of each in all counts, float64 [C].

    An entry that training never met counts as met once.
    """
    total = max(int(self.counts.sum()), 1)
    return np.log2(total) - np.log2(np.maximum(self.counts, 1))

  def likeness(self, lists_PK: np.ndarray) -> np.ndarray:
    """Σ of the cosines of all ordered pairs of each list, float64 [P].

    Args:
      lists_PK: without repeats, padded with UNKNOWN.
    """
    sums = [
      self._likeness(lists_PK[begin : begin + _LISTS_AT_ONCE])
      for begin in range(0, len(lists_PK), _LISTS_AT_ONCE)
    ]
    return np.concatenate(sums) if sums else np.zeros(0)

  def _likeness(self, lists_PK: np.ndarray) -> np.ndarray:
    # The squared length of the sum of some vectors is that of each, and twice
    # the product of each pair.
    unit_CX, length_C = self._units
    rows, columns = np.nonzero(lists_PK != UNKNOWN)
    shown_PC = sparse.csr_array(
      (np.ones(len(rows)), (rows, lists_PK[rows, columns])),
      shape=(len(lists_PK), unit_CX.shape[0]),
    )
    sum_PX = sparse.csr_array(shown_PC @ unit_CX)
    return (sum_PX.multiply(sum_PX)).sum(axis=1) - shown_PC @ length_C

  @functools.cached_property
  def _units(self) -> tuple[sparse.csr_array, np.ndarray]:
    """Profiles of length 1, and their squared lengths: 0 of an empty one."""
    assert self.profiles is not None, "profiles are not known"
    squared_C = np.asarray(self.profiles.multiply(self.profiles).sum(axis=1))
    known_C = (squared_C > 0).astype(np.float64)
    scale_C = known_C / np.sqrt(np.where(squared_C > 0, squared_C, 1))
    unit_CX = sparse.csr_array(sparse.diags_array(scale_C) @ self.profiles)
    return unit_CX, known_C


def tag_entries(counts: np.ndarray, given_CT: sparse.csr_array) -> Entries:
  """Tags are alike if the same others are given to the same products.

  Args:
    counts: int [T + N], those that came after training last.
    given_CT: above 0 where a product of training has a tag.
  """
  has_CT = (given_CT > 0).astype(np.float64)
  together_TT = (has_CT.T @ has_CT).tocsr()
  size = len(counts)
  together_TT.resize((size, size))
  told = "of a tag: how many products of training have it with each other tag"
  return Entries(counts, sparse.csr_array(together_TT), told)


def item_entries(
  counts: np.ndarray, tags_CM: np.ndarray | None, num_tags: int
) -> Entries:
  """Products are alike if they have the same tags.

  Args:
    counts: int [C + N], those that came after training last.
    tags_CM: int [C + N, M], padded with UNKNOWN; None where none has any.
    num_tags: all, also those that came after training.
  """
  if tags_CM is None or not (tags_CM >= 0).any():
    return Entries(counts)
  rows, columns = np.nonzero(tags_CM >= 0)
  has_CT = sparse.csr_array(
    (np.ones(len(rows)), (rows, tags_CM[rows, columns])),
    shape=(len(tags_CM), num_tags),
  )
  has_CT.sum_duplicates()
  has_CT.data[:] = 1  # a tag listed twice counts once
  return Entries(counts, has_CT, "of a product: its tags")
