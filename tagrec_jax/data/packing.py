"""Short histories share a row: which slice of events goes where."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Packing:
  """Where each of N pieces lies; a piece is a slice or, if cut, a part of one.

  Attributes:
    rows: int64 [N], the row of each piece.
    slices: int64 [N], the number of the slice it is of.
    skips: int64 [N], tokens of the slice that come before it.
    lengths: int64 [N], its own tokens.
    num_rows: how many rows there are; the last ones may be empty.
  """

  rows: np.ndarray
  slices: np.ndarray
  skips: np.ndarray
  lengths: np.ndarray
  num_rows: int


def pack(
  lengths: np.ndarray, row_length: int, num_rows: int | None = None
) -> Packing:
  """Best fit: each slice goes to the fullest row that still has room for it.

  Slices are taken in the order of `lengths`, so a shuffled input gives rows of
  random company. Linear in the number of slices: the free lengths of open rows
  are the set bits of one integer.

  Args:
    lengths: int [N], each from 1 to row_length.
    num_rows: how many rows to fill. What then finds no room as a whole is cut
      and fills the gaps. None takes the rows it needs and cuts nothing.

  Raises:
    ValueError: if a slice is empty or longer than a row, or all of them are
      longer than the rows.
  """
  if len(lengths) and not 1 <= lengths.min() <= lengths.max() <= row_length:
    raise ValueError(
      f"slices of {lengths.min()} to {lengths.max()} events, rows of"
      f" {row_length}"
    )
  most = len(lengths) if num_rows is None else num_rows
  row_of: list[int] = []  # -1 where there is no room
  open_rows: list[list[int]] = [[] for _ in range(row_length + 1)]
  free_lengths = 0  # bit f is set while an open row has f tokens free
  opened = 0
  for length in lengths.tolist():
    fitting = free_lengths >> length
    if fitting:
      free = length + (fitting & -fitting).bit_length() - 1
      row = open_rows[free].pop()
      if not open_rows[free]:
        free_lengths ^= 1 << free
    elif opened < most:
      free, row = row_length, opened
      opened += 1
    else:
      row_of.append(-1)
      continue
    row_of.append(row)
    if free > length:
      open_rows[free - length].append(row)
      free_lengths |= 1 << (free - length)
  rows = np.array(row_of, np.int64)
  whole = Packing(
    rows,
    np.arange(len(lengths)),
    np.zeros(len(lengths), np.int64),
    lengths.astype(np.int64),
    opened if num_rows is None else num_rows,
  )
  return _fill_gaps(whole, row_length) if (rows < 0).any() else whole


def _fill_gaps(packing: Packing, row_length: int) -> Packing:
  """Cuts the slices that have no row, largest gaps first.

  Gaps and slices are laid along one line each; a piece ends where either ends.
  """
  placed = packing.rows >= 0
  left = np.flatnonzero(~placed)
  used = np.bincount(
    packing.rows[placed], packing.lengths[placed], packing.num_rows
  ).astype(np.int64)
  gaps = np.argsort(used, kind="stable")
  gap_ends = np.cumsum(row_length - used[gaps])
  slice_ends = np.cumsum(packing.lengths[left])
  if not len(gaps) or slice_ends[-1] > gap_ends[-1]:
    raise ValueError(
      f"{packing.lengths.sum()} events, {packing.num_rows} rows of {row_length}"
    )
  ends = np.union1d(gap_ends[gap_ends < slice_ends[-1]], slice_ends)
  starts = np.append(0, ends[:-1])
  of = np.searchsorted(slice_ends, starts, side="right")
  skips = starts - (slice_ends - packing.lengths[left])[of]
  rows = gaps[np.searchsorted(gap_ends, starts, side="right")]
  return Packing(
    np.append(packing.rows[placed], rows),
    np.append(packing.slices[placed], left[of]),
    np.append(packing.skips[placed], skips),
    np.append(packing.lengths[placed], ends - starts),
    packing.num_rows,
  )
