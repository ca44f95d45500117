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

import numpy as np

from tagrec_jax.core.axes import BEGIN, UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import PipelineSettings
from tagrec_jax.data.dataset import NO_TIME, Dataset
from tagrec_jax.data.epochs import RowStream, Slices
from tagrec_jax.data.moments import moment_features
from tagrec_jax.data.spec import Part, batch_key

Batch = dict[str, np.ndarray]


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
    person = np.repeat(slices.people, lengths)
    # A row's first slice starts at its column 0.
    firsts = np.searchsorted(rows, rows)
    columns = starts - starts[firsts]
    slot = np.repeat(rows * self._row_length + columns, lengths) + position
    segment = np.repeat(np.arange(len(rows)) - firsts + 1, lengths)

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
      batch[name].reshape(-1)[slot] = value
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
      moments = moment_features(self._moment, times[event], previous)
      context |= {batch_key(Part.MOMENT, n): v for n, v in moments.items()}
    return context


class TrainBatches:
  """step → batch. Every host computes the same rows and takes its share.

  Epochs follow one another in one stream of rows (epochs.py), so a batch may
  end one and begin the next.

  Args:
    moment, person: names of the context features the model reads.
    host, hosts: which share of the rows this process makes.

  Attributes:
    steps_per_epoch: a fraction, as an epoch may end within a batch.
    fill: the fraction of slots that hold a question.
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
    self._rows = settings.batch_rows
    self._share = settings.batch_rows // hosts
    self._first = host * self._share
    self._tokens = Tokens(dataset, settings.row_length, moment, person)
    starts = dataset.events.offsets[:-1] + (not settings.begin_token)
    self._stream = RowStream(starts, dataset.train_ends, settings, seed)
    if not self._stream.questions:
      raise UserError(
        "config.data",
        "no person has a training event to ask for",
        "at least one",
        "lower config.data.min_person_events or look at the rejections",
      )
    self.steps_per_epoch = self._stream.rows_per_epoch / settings.batch_rows
    slots = self._stream.rows_per_epoch * settings.row_length
    self.fill = self._stream.questions / slots

  def __call__(self, step: int) -> Batch:
    """The share of this host of the global batch of one step."""
    first = step * self._rows + self._first
    slices, rows = self._stream(first, first + self._share)
    return self._tokens.batch(slices, rows, self._share)
