"""Short histories share a row: which slice of events goes where."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Packing:
  """Slices in rows.

  Attributes:
    order: int64 [N] slice numbers, row after row.
    row_starts: int64 [R + 1]; row r holds order[row_starts[r]:row_starts[r+1]].
  """

  order: np.ndarray
  row_starts: np.ndarray

  @property
  def rows(self) -> int:
    return len(self.row_starts) - 1


def pack(lengths: np.ndarray, row_length: int) -> Packing:
  """Best fit: each slice goes to the fullest row that still has room for it.

  Rows are filled in the order of `lengths`, so a shuffled input gives rows of
  random company. Linear in the number of slices: the free lengths of open rows
  are the set bits of one integer.

  Args:
    lengths: int [N], each from 1 to row_length.

  Raises:
    ValueError: if a slice is empty or longer than a row.
  """
  if len(lengths) and not 1 <= lengths.min() <= lengths.max() <= row_length:
    raise ValueError(
      f"slices of {lengths.min()} to {lengths.max()} events, rows of"
      f" {row_length}"
    )
  row_of = np.empty(len(lengths), np.int64)
  open_rows: list[list[int]] = [[] for _ in range(row_length + 1)]
  free_lengths = 0  # bit f is set while an open row has f tokens free
  rows = 0
  for number, length in enumerate(lengths.tolist()):
    fitting = free_lengths >> length
    if fitting:
      free = length + (fitting & -fitting).bit_length() - 1
      row = open_rows[free].pop()
      if not open_rows[free]:
        free_lengths &= ~(1 << free)
    else:
      free, row = row_length, rows
      rows += 1
    row_of[number] = row
    if free > length:
      open_rows[free - length].append(row)
      free_lengths |= 1 << (free - length)
  counts = np.bincount(row_of, minlength=rows)
  row_starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
  return Packing(np.argsort(row_of, kind="stable"), row_starts)
