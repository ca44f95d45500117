"""Lists of different lengths in one array."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class Lists:
  """Lists of different lengths, one after another.

  Attributes:
    values: [E], of all lists.
    offsets: int64 [N + 1]; list n is values[offsets[n]:offsets[n + 1]].
  """

  values: np.ndarray
  offsets: np.ndarray

  @classmethod
  def of(cls, values: np.ndarray, lengths: np.ndarray) -> Lists:
    return cls(
      values, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    )

  @classmethod
  def empty(cls, count: int) -> Lists:
    """`count` lists of int32 with nothing in them."""
    return cls(np.zeros(0, np.int32), np.zeros(count + 1, np.int64))

  def __getitem__(self, number: int) -> np.ndarray:
    return self.values[self.offsets[number] : self.offsets[number + 1]]


def ranges(
  first: np.ndarray, last: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Which range each number is of, and the numbers first:last of each range."""
  lengths = last - first
  of = np.repeat(np.arange(len(lengths)), lengths)
  return of, first[of] + np.arange(len(of)) - (np.cumsum(lengths) - lengths)[of]


Columns = Mapping[str, np.ndarray | Lists]
"""Of a table, see tables.py."""
