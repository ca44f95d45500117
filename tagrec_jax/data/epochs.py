"""Training questions as one endless stream of full rows, epoch after epoch.

Every epoch asks every question once and has the same number of rows, so which
epoch a row belongs to is known without making those before it. An epoch is
packed window after window, when it is needed: no batch waits for a whole one.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from tagrec_jax.core.rng import named_generator
from tagrec_jax.core.settings import PipelineSettings
from tagrec_jax.data.packing import pack

WINDOW_ROWS = 512
"""Packed at a time; a few milliseconds."""

FULL = 0.98
"""How full rows are at least where histories are cut anyway ('chunks')."""


@dataclasses.dataclass(frozen=True)
class Slices:
  """Questions about consecutive events of one person, for N slices.

  Attributes:
    people: int64 [N].
    first, last: int64 [N]; the events asked for are first:last.
  """

  people: np.ndarray
  first: np.ndarray
  last: np.ndarray

  def __getitem__(self, key: slice | np.ndarray) -> Slices:
    return Slices(self.people[key], self.first[key], self.last[key])

  @property
  def lengths(self) -> np.ndarray:
    return self.last - self.first

  @classmethod
  def join(cls, parts: list[Slices]) -> Slices:
    return cls(
      np.concatenate([part.people for part in parts]),
      np.concatenate([part.first for part in parts]),
      np.concatenate([part.last for part in parts]),
    )


@dataclasses.dataclass(frozen=True)
class _Epoch:
  """Windows of an epoch.

  Attributes:
    slices: all, in random order.
    starts: int64 [W + 1]; window w holds the slices starts[w]:starts[w + 1].
    rows: int64 [W + 1]; and fills the rows rows[w]:rows[w + 1].
  """

  slices: Slices
  starts: np.ndarray
  rows: np.ndarray


class RowStream:
  """Rows of slices; row r is of epoch r // rows_per_epoch.

  With 'newest', histories stay whole but for a few in a thousand; with
  'chunks', which cuts them at random places anyway, some are cut once more so
  that rows get full.

  Args:
    starts, ends: int64 [P]; the questions of person p are starts[p]:ends[p].
  """

  def __init__(
    self,
    starts: np.ndarray,
    ends: np.ndarray,
    settings: PipelineSettings,
    seed: int,
  ):
    self._settings = settings
    self._seed = seed
    people = np.flatnonzero(ends > starts)
    histories = Slices(people, starts[people], ends[people])
    if settings.long_histories == "newest":
      oldest = histories.last - settings.max_history
      histories = dataclasses.replace(
        histories, first=np.maximum(histories.first, oldest)
      )
    self._histories = histories
    self.questions = int(histories.lengths.sum())
    """In an epoch."""
    self.rows_per_epoch = 0
    # The running epoch and the next, which a prefetching thread may be at.
    self._epoch = functools.lru_cache(maxsize=2)(self._make_epoch)
    self._window = functools.lru_cache(maxsize=2)(self._make_window)
    if self.questions:
      self.rows_per_epoch = self._count_rows()
      self._epoch.cache_clear()

  def __call__(self, first: int, last: int) -> tuple[Slices, np.ndarray]:
    """The slices of rows first:last, and their rows, counted from `first`."""
    parts, numbers, row = [], [], first
    while row < last:
      epoch, inside = divmod(row, self.rows_per_epoch)
      bounds = self._epoch(epoch).rows
      window = int(np.searchsorted(bounds, inside, side="right")) - 1
      slices, rows = self._window(epoch, window)
      end = min(inside + last - row, int(bounds[window + 1]))
      chosen = slice(*np.searchsorted(rows, [inside, end]))
      parts.append(slices[chosen])
      numbers.append(rows[chosen] - inside + row - first)
      row += end - inside
    return Slices.join(parts), np.concatenate(numbers)

  def _count_rows(self) -> int:
    """As many rows as all windows need if they pack like the first one."""
    epoch, length = self._epoch(0), self._settings.row_length
    lengths = epoch.slices.lengths[: epoch.starts[1]]
    full = lengths.sum() / (pack(lengths, length).num_rows * length)
    if self._settings.long_histories == "chunks":
      full = max(full, FULL)
    needed = self.questions / length
    # One row of a window may be lost to rounding, and one to chance.
    spare = 2 / WINDOW_ROWS
    return max(round((1 + spare) * needed / full), int(np.ceil(needed)))

  def _make_epoch(self, number: int) -> _Epoch:
    random = named_generator(self._seed, "batches", number)
    slices = self._histories
    if self._settings.long_histories == "chunks":
      slices = _chunks(slices, self._settings.max_history, random)
    slices = slices[random.permutation(len(slices.people))]
    tokens = np.cumsum(slices.lengths)
    size = WINDOW_ROWS * self._settings.row_length
    windows = max(1, self.questions // size)
    cuts = np.arange(1, windows) * self.questions // windows
    starts = np.concatenate(
      [[0], np.searchsorted(tokens, cuts), [len(tokens)]]
    ).astype(np.int64)
    before = np.append(0, tokens)[starts]
    return _Epoch(slices, starts, before * self.rows_per_epoch // tokens[-1])

  def _make_window(self, number: int, window: int) -> tuple[Slices, np.ndarray]:
    """Its slices by row, and the row of each in the epoch, ascending."""
    epoch = self._epoch(number)
    first, last = epoch.rows[window : window + 2].tolist()
    slices = epoch.slices[slice(*epoch.starts[window : window + 2])]
    packing = pack(slices.lengths, self._settings.row_length, last - first)
    random = named_generator(self._seed, "rows", number, window)
    rows = first + random.permutation(packing.num_rows)[packing.rows]
    order = np.argsort(rows, kind="stable")
    of = packing.slices[order]
    begin = slices.first[of] + packing.skips[order]
    pieces = Slices(slices.people[of], begin, begin + packing.lengths[order])
    return pieces, rows[order]


def _chunks(
  histories: Slices, size: int, random: np.random.Generator
) -> Slices:
  """Long histories in parts.

  The first part has a random length, the others have `size`, the last what is
  left.
  """
  length = histories.lengths
  head = random.integers(1, size + 1, len(length))
  head = np.where(length > size, head, length)
  parts = 1 + -(-(length - head) // size)
  of = np.repeat(np.arange(len(length)), parts)
  part = np.arange(len(of)) - np.repeat(np.cumsum(parts) - parts, parts)
  end = np.minimum(head[of] + part * size, length[of])
  begin = np.where(part > 0, head[of] + (part - 1) * size, 0)
  first = histories.first[of]
  return Slices(histories.people[of], first + begin, first + end)
