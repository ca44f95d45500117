"""Training questions as one endless stream of full rows, epoch after epoch.

Every epoch asks every question once and has the same number of rows, so which
epoch a row belongs to is known without making those before it. An epoch is
packed window after window, when it is needed: no batch waits for a whole one.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np

from tagrec_jax.core.rng import named_generator
from tagrec_jax.core.settings import PipelineSettings
from tagrec_jax.data.lists import ranges
from tagrec_jax.data.mapped import gathered
from tagrec_jax.data.packing import pack

WINDOW_ROWS = 512
"""Packed at a time; a few milliseconds."""

FULL = 0.98
"""How full rows are at least where histories are cut anyway ('chunks')."""

_PART = 2**16
"""People or slices that are looked at together."""

_PARTS = 2**32
"""More than a history has."""

_ALL = 2**62
"""Events: more than anybody has."""


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

  def __len__(self) -> int:
    return len(self.people)

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
class _Histories:
  """A slice of each person, made when it is asked for.

  Attributes:
    people: int32 [N], in the order of the slices.
    starts, ends, skip: see `RowStream`.
    longest: events of a slice, the newest ones.
  """

  people: np.ndarray
  starts: np.ndarray
  ends: np.ndarray
  skip: int
  longest: int

  def __len__(self) -> int:
    return len(self.people)

  def __getitem__(self, key: slice | np.ndarray) -> Slices:
    people = self.people[key].astype(np.int64)
    last = self.ends[people]
    first = np.maximum(self.starts[people] + self.skip, last - self.longest)
    return Slices(people, first, last)


@dataclasses.dataclass(frozen=True)
class _Chunks:
  """Parts of histories, made when they are asked for.

  The first part has a random length, the others have `size`, the last what is
  left.

  Attributes:
    histories: of N people.
    heads: int32 [N], events of the first part.
    parts: int64 [M], in the order of the slices: the number of the history, and
      in the lower 32 bits that of the part.
    size: events of a part.
  """

  histories: _Histories
  heads: np.ndarray
  parts: np.ndarray
  size: int

  def __len__(self) -> int:
    return len(self.parts)

  def __getitem__(self, key: slice) -> Slices:
    of, part = np.divmod(self.parts[key], _PARTS)
    histories, head = self.histories[of], self.heads[of]
    end = np.minimum(head + part * self.size, histories.lengths)
    begin = np.where(part > 0, head + (part - 1) * self.size, 0)
    first = histories.first
    return Slices(histories.people, first + begin, first + end)


@dataclasses.dataclass(frozen=True)
class _Epoch:
  """Windows of an epoch.

  Attributes:
    slices: all, in random order.
    starts: int64 [W + 1]; window w holds the slices starts[w]:starts[w + 1].
    rows: int64 [W + 1]; and fills the rows rows[w]:rows[w + 1].
  """

  slices: _Histories | _Chunks
  starts: np.ndarray
  rows: np.ndarray


class RowStream:
  """Rows of slices; row r is of epoch r // rows_per_epoch.

  With 'newest', histories stay whole but for a few in a thousand; with
  'chunks', which cuts them at random places anyway, some are cut once more so
  that rows get full.

  Of millions of people nothing is in memory but what a window needs: slices
  are made when they are asked for, and a long order of them lies in a file.

  Args:
    starts, ends: int64 [P]; of person p. Neither is copied.
    skip: the questions of person p are starts[p] + skip:ends[p].
  """

  def __init__(
    self,
    starts: np.ndarray,
    ends: np.ndarray,
    settings: PipelineSettings,
    seed: int,
    *,
    skip: int = 0,
  ):
    self._settings = settings
    self._seed = seed
    newest = settings.long_histories == "newest"
    self._histories = _Histories(
      gathered(_asked(starts, ends, skip), np.int32),
      starts,
      ends,
      skip,
      settings.max_history if newest else _ALL,
    )
    self.questions = sum(
      int(self._histories[part].lengths.sum())
      for part in _parts(len(self._histories))
    )
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
    lengths = epoch.slices[: epoch.starts[1]].lengths
    full = lengths.sum() / (pack(lengths, length).num_rows * length)
    if self._settings.long_histories == "chunks":
      full = max(full, FULL)
    needed = self.questions / length
    # One row of a window may be lost to rounding, and one to chance.
    spare = 2 / WINDOW_ROWS
    return max(round((1 + spare) * needed / full), int(np.ceil(needed)))

  def _make_epoch(self, number: int) -> _Epoch:
    random = named_generator(self._seed, "batches", number)
    histories = self._histories
    slices: _Histories | _Chunks
    if self._settings.long_histories == "chunks":
      slices = _chunks(histories, self._settings.max_history, random)
    else:
      order = gathered([histories.people], np.int32)
      random.shuffle(order)
      slices = dataclasses.replace(histories, people=order)
    size = WINDOW_ROWS * self._settings.row_length
    windows = max(1, self.questions // size)
    cuts = np.arange(1, windows) * self.questions // windows
    starts, before = _cut(slices, cuts)
    return _Epoch(slices, starts, before * self.rows_per_epoch // before[-1])

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


def _parts(count: int) -> Iterator[slice]:
  """0:count in parts, so that arrays as long are never made."""
  for begin in range(0, count, _PART):
    yield slice(begin, min(begin + _PART, count))


def _asked(
  starts: np.ndarray, ends: np.ndarray, skip: int
) -> Iterator[np.ndarray]:
  """The people who have questions, part after part."""
  for part in _parts(len(ends)):
    yield part.start + np.flatnonzero(ends[part] > starts[part] + skip)


def _cut(
  slices: _Histories | _Chunks, cuts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Windows that end with the slice that reaches each cut.

  Args:
    cuts: int64 [W - 1], tokens, ascending.

  Returns:
    int64 [W + 1] each, with both ends: the first slice of every window and the
    tokens before it.
  """
  starts, before, total = [np.zeros(1, np.int64)], [np.zeros(1, np.int64)], 0
  for part in _parts(len(slices)):
    tokens = np.cumsum(np.append(total, slices[part].lengths))
    inside = cuts[(cuts > total) & (cuts <= tokens[-1])]
    places = np.searchsorted(tokens[1:], inside)
    starts.append(part.start + places)
    before.append(tokens[places])
    total = int(tokens[-1])
  return np.append(np.concatenate(starts), len(slices)), np.append(
    np.concatenate(before), total
  )


def _chunks(
  histories: _Histories, size: int, random: np.random.Generator
) -> _Chunks:
  """Long histories in parts, in random order."""

  def heads() -> Iterator[np.ndarray]:
    for part in _parts(len(histories)):
      length = histories[part].lengths
      head = random.integers(1, size + 1, len(length))
      yield np.where(length > size, head, length)

  chunks = _Chunks(
    histories, gathered(heads(), np.int32), np.zeros(0, np.int64), size
  )

  def numbers() -> Iterator[np.ndarray]:
    for part in _parts(len(histories)):
      left = histories[part].lengths - chunks.heads[part]
      counts = 1 + -(-left // size)
      of, inside = ranges(np.zeros_like(counts), counts)
      yield (part.start + of) * _PARTS + inside

  order = gathered(numbers(), np.int64)
  random.shuffle(order)
  return dataclasses.replace(chunks, parts=order)
