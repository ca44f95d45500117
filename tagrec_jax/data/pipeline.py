"""Prepared data → batches; a batch is a pure function of (seed, step).

Every token of a batch is one question: *this person took these products; which
is next?* The question about event j reads event j - 1 and, through the history
encoder, everything before it. So a token is named by the event it asks for, and
a slice of tokens by the events first:last it asks for.

Batch arrays, int32 [B, S]: `history_ids` (BEGIN before a person's first event,
UNKNOWN where padded), `history_segments` (0 is padding, 1, 2, ... the people of
the row), `history_positions` (from 0 in each slice), `target_ids` (UNKNOWN
where nothing is asked), and `moment_*`, `person_*` of the moment asked.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from tagrec_jax.core.axes import BEGIN, UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.rng import named_generator
from tagrec_jax.core.settings import PipelineSettings
from tagrec_jax.data.dataset import NO_TIME, Dataset
from tagrec_jax.data.moments import moment_features
from tagrec_jax.data.packing import Packing, pack
from tagrec_jax.data.spec import Part, batch_key

Batch = dict[str, np.ndarray]


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


class Tokens:
  """Turns slices of events into batch arrays."""

  def __init__(
    self,
    dataset: Dataset,
    row_length: int,
    moment: tuple[str, ...],
    person: tuple[str, ...],
  ):
    self._events = dataset.events
    self._person = {name: dataset.person[name] for name in person}
    self._moment = moment
    self._row_length = row_length

  def batch(self, slices: Slices, rows: np.ndarray, num_rows: int) -> Batch:
    """Lays slice n into row rows[n], after those of the row before it.

    Args:
      rows: int64 [N], ascending.
      num_rows: B; a row without a slice is all padding.
    """
    lengths = slices.lengths
    total = int(lengths.sum())
    starts = np.cumsum(lengths) - lengths  # of each slice in the token stream
    position = np.arange(total) - np.repeat(starts, lengths)
    event = np.repeat(slices.first, lengths) + position
    row = np.repeat(rows, lengths)
    # Within a row: the column where the row's first slice starts is 0.
    row_tokens = np.bincount(rows, weights=lengths, minlength=num_rows)
    row_starts = (np.cumsum(row_tokens) - row_tokens).astype(np.int64)
    column = np.arange(total) - row_starts[row]
    first_slice = np.searchsorted(rows, rows)
    segment = np.repeat(np.arange(len(rows)) - first_slice + 1, lengths)
    person = np.repeat(slices.people, lengths)

    values = {
      "history_ids": self._read(event, person),
      "history_segments": segment,
      "history_positions": position,
      "target_ids": self._events.items[event],
      **self._context(event, person),
    }
    padding = {"history_segments": 0, "history_positions": 0}
    batch = {}
    for name, value in values.items():
      shape, fill = (num_rows, self._row_length), padding.get(name, UNKNOWN)
      batch[name] = np.full(shape, fill, np.int32)
      batch[name][row, column] = value
    return batch

  def _read(self, event: np.ndarray, person: np.ndarray) -> np.ndarray:
    """The token that the question about `event` reads."""
    is_first = event == self._events.offsets[person]
    return np.where(is_first, BEGIN, self._events.items[event - 1])

  def _context(self, event: np.ndarray, person: np.ndarray) -> Batch:
    context = {
      batch_key(Part.PERSON, name): classes[person]
      for name, classes in self._person.items()
    }
    if self._moment:
      times = self._events.times
      is_first = event == self._events.offsets[person]
      previous = np.where(is_first, NO_TIME, times[event - 1])
      moments = moment_features(times[event], previous)
      context |= {batch_key(Part.MOMENT, n): moments[n] for n in self._moment}
    return context


class TrainBatches:
  """step → batch. Every host computes the same rows and takes its share.

  Args:
    moment, person: names of the context features the model reads.
    host, hosts: which share of the rows this process makes.
  """

  def __init__(
    self,
    dataset: Dataset,
    settings: PipelineSettings,
    *,
    moment: tuple[str, ...] = (),
    person: tuple[str, ...] = (),
    seed: int = 0,
    host: int = 0,
    hosts: int = 1,
  ):
    if settings.batch_rows % hosts:
      raise UserError(
        "config.pipeline.batch_rows",
        f"found {settings.batch_rows}",
        f"a multiple of the {hosts} hosts",
        f"use {-(-settings.batch_rows // hosts) * hosts}",
      )
    self._settings = settings
    self._seed = seed
    self._starts = dataset.events.offsets[:-1] + (not settings.begin_token)
    self._ends = dataset.train_ends
    self._tokens = Tokens(dataset, settings.row_length, moment, person)
    share = settings.batch_rows // hosts
    self._share = slice(host * share, (host + 1) * share)
    # The running epoch and the one a prefetching thread is already at.
    self._epoch = functools.lru_cache(maxsize=2)(self._make_epoch)
    rows = self._epoch(0)[1].rows
    if not rows:
      raise UserError(
        "config.data",
        "no person has a training event to ask for",
        "at least one",
        "lower config.data.min_person_events or look at the rejections",
      )
    self.steps_per_epoch = -(-rows // settings.batch_rows)

  def __call__(self, step: int) -> Batch:
    """The share of this host of the global batch of one step."""
    epoch, step = divmod(step, self.steps_per_epoch)
    slices, packing = self._epoch(epoch)
    size = self._settings.batch_rows
    wanted = np.arange(step * size, (step + 1) * size)[self._share]
    bounds = packing.row_starts[
      np.minimum([wanted[0], wanted[-1] + 1], packing.rows)
    ]
    chosen = packing.order[bounds[0] : bounds[1]]
    held = np.diff(packing.row_starts)[wanted[0] : wanted[-1] + 1]
    rows = np.repeat(np.arange(len(held)), held)
    return self._tokens.batch(slices[chosen], rows, len(wanted))

  def fill(self, epoch: int = 0) -> float:
    """The fraction of an epoch's slots that hold a question."""
    slices, _ = self._epoch(epoch)
    size = self._settings.batch_rows * self._settings.row_length
    return int(slices.lengths.sum()) / (self.steps_per_epoch * size)

  def _make_epoch(self, epoch: int) -> tuple[Slices, Packing]:
    """This epoch's slices in rows.

    The number of rows differs a little from epoch to epoch while the steps do
    not: rows that do not fit are left out of this epoch, missing ones are
    blank.
    """
    random = named_generator(self._seed, "batches", epoch)
    slices = self._cut(random)
    slices = slices[random.permutation(len(slices.people))]
    packing = pack(slices.lengths, self._settings.row_length)
    rows = random.permutation(packing.rows)
    held = np.diff(packing.row_starts)[rows]
    starts = np.concatenate([[0], np.cumsum(held)])
    inside = np.arange(starts[-1]) - np.repeat(starts[:-1], held)
    order = packing.order[np.repeat(packing.row_starts[rows], held) + inside]
    return slices, Packing(order, starts)

  def _cut(self, random: np.random.Generator) -> Slices:
    """The questions of one epoch: the newest ones, or all in chunks."""
    size = self._settings.max_history
    people = np.flatnonzero(self._ends > self._starts)
    first, last = self._starts[people], self._ends[people]
    if self._settings.long_histories == "newest":
      return Slices(people, np.maximum(first, last - size), last)
    # The first chunk of a long history has a random length, the others `size`.
    length = last - first
    head = np.where(
      length > size, random.integers(1, size + 1, len(people)), length
    )
    chunks = 1 + -(-(length - head) // size)
    number = np.arange(chunks.sum()) - np.repeat(
      np.cumsum(chunks) - chunks, chunks
    )
    people, first, last, head = (
      np.repeat(a, chunks) for a in (people, first, last, head)
    )
    start = np.where(number > 0, first + head + (number - 1) * size, first)
    end = np.minimum(first + head + number * size, last)
    return Slices(people, start, end)
