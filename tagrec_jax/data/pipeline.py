"""Prepared data → batches; a batch is a pure function of (seed, step).

Every token of a batch is one question: *this person took these products; which
is next?* The question about event j reads event j - 1 and, through the history
encoder, everything before it. So a token is named by the event it asks for, and
a slice of tokens by the events first:last it asks for.

Batch arrays, int32 [B, S]: `history_ids` (BEGIN before a person's first event,
UNKNOWN where padded), `history_segments` (0 is padding, 1, 2, ... the people of
the row), `history_positions` (from 0 in each slice), `target_ids` (UNKNOWN
where nothing is asked), `history_times` of what is read and `asked_times` of
what is asked for (seconds since the first known time of the slice, UNKNOWN
where not known), and `moment_*`, `person_*` of the moment asked.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from tagrec_jax.core.axes import BEGIN, UNKNOWN
from tagrec_jax.core.errors import UserError, near_multiples
from tagrec_jax.core.settings import PipelineSettings
from tagrec_jax.data.dataset import NO_TIME, Dataset
from tagrec_jax.data.epochs import RowStream, Slices
from tagrec_jax.data.moments import moment_features
from tagrec_jax.data.spec import ID, Part, batch_key

Batch = dict[str, np.ndarray]

_LATEST = np.iinfo(np.int32).max
"""Seconds, or 68 years: more is as much."""

_PADDED_BY_0 = ("history_segments", "history_positions", "product_tag_counts")


@dataclasses.dataclass(frozen=True)
class Places:
  """Where the tokens of slices lie in packed rows, one after another.

  Attributes:
    number: int64 [N], the slice of each token.
    person: int64 [N].
    position: int64 [N], from 0 in each slice.
    event: int64 [N], what the token asks for.
    segment: int64 [N], from 1 in each row.
    slot: int64 [N], in all rows as one.
    shape: (B, S).
  """

  number: np.ndarray
  person: np.ndarray
  position: np.ndarray
  event: np.ndarray
  segment: np.ndarray
  slot: np.ndarray
  shape: tuple[int, int]

  @classmethod
  def of(
    cls, slices: Slices, rows: np.ndarray, shape: tuple[int, int]
  ) -> Places:
    """Lays slice n into row rows[n], after those of the row before it.

    Args:
      rows: int64 [N], ascending.
      shape: (B, S); a row without a slice is all padding.
    """
    lengths = slices.lengths
    number = np.repeat(np.arange(len(lengths)), lengths)
    starts = np.cumsum(lengths) - lengths  # of each slice in the token stream
    position = np.arange(len(number)) - starts[number]
    # A row's first slice starts at its column 0.
    firsts = np.searchsorted(rows, rows)
    columns = starts - starts[firsts]
    return cls(
      number,
      slices.people[number],
      position,
      slices.first[number] + position,
      (np.arange(len(rows)) - firsts + 1)[number],
      (rows * shape[1] + columns)[number] + position,
      shape,
    )

  def seconds(self, *times: np.ndarray) -> list[np.ndarray]:
    """Times of tokens, since the first known time of their slice.

    Args:
      times: int64 [N] each, or NO_TIME, which becomes UNKNOWN.
    """
    later = np.iinfo(np.int64).max
    known = [np.where(each == NO_TIME, later, each) for each in times]
    start = np.full(self.number.max(initial=-1) + 1, later)
    for each in known:
      np.minimum.at(start, self.number, each)
    start = start[self.number]
    return [
      np.where(
        each == NO_TIME,
        UNKNOWN,
        np.minimum(np.where(each == NO_TIME, start, each) - start, _LATEST),
      )
      for each in times
    ]

  def fill(self, values: Mapping[str, np.ndarray]) -> Batch:
    """Batch arrays of what is known of each token, [N, ...]; see the module.

    Segments and positions are padded by 0, all else by UNKNOWN.
    """
    values = {
      "history_segments": self.segment,
      "history_positions": self.position,
      **values,
    }
    batch = {}
    for name, value in values.items():
      padding = 0 if name in _PADDED_BY_0 else UNKNOWN
      flat = np.full(
        (math.prod(self.shape), *value.shape[1:]), padding, np.int32
      )
      flat[self.slot] = value
      batch[name] = flat.reshape(*self.shape, *value.shape[1:])
    return batch


class Context:
  """What is known of moments and people, named as in a batch.

  Args:
    moment, person: names of the features that are read; a person's 'id' is
      none of them.
  """

  def __init__(
    self, dataset: Dataset, moment: tuple[str, ...], person: tuple[str, ...]
  ):
    self._events = dataset.events
    self._person = {n: dataset.person[n] for n in person if n != ID}
    told = dataset.events.moment
    self._told = {name: told[name] for name in moment if name in told}
    self._timed = tuple(name for name in moment if name not in told)

  def __call__(self, event: np.ndarray, person: np.ndarray) -> Batch:
    """Features of events and of the people they are of, int32 [N]."""
    moments = {name: classes[event] for name, classes in self._told.items()}
    if self._timed:
      times = self._events.times
      is_first = event == self._events.offsets[person]
      previous = np.where(is_first, NO_TIME, times[event - 1])
      moments |= moment_features(self._timed, times[event], previous)
    people = {name: classes[person] for name, classes in self._person.items()}
    return {batch_key(Part.MOMENT, n): v for n, v in moments.items()} | {
      batch_key(Part.PERSON, n): v for n, v in people.items()
    }


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
    self._context = Context(dataset, moment, person)
    self._row_length = row_length

  def batch(self, slices: Slices, rows: np.ndarray, num_rows: int) -> Batch:
    """Lays slice n into row rows[n] of `num_rows`, see `Places`."""
    places = Places.of(slices, rows, (num_rows, self._row_length))
    event, person = places.event, places.person
    return places.fill(
      {
        "history_ids": self._read(event, person),
        "target_ids": self._events.items[event],
        **self._times(places),
        **self._context(event, person),
      }
    )

  def _times(self, places: Places) -> Batch:
    """`history_times` and `asked_times` of each token, int64 [N]."""
    asked = self._events.times[places.event]
    is_first = places.event == self._events.offsets[places.person]
    read = np.where(is_first, NO_TIME, self._events.times[places.event - 1])
    read, asked = places.seconds(read, asked)
    return {"history_times": read, "asked_times": asked}

  def _read(self, event: np.ndarray, person: np.ndarray) -> np.ndarray:
    """The token that the question about `event` reads."""
    is_first = event == self._events.offsets[person]
    return np.where(is_first, BEGIN, self._events.items[event - 1])


def share_of_rows(rows: int, hosts: int) -> int:
  """How many rows of a global batch each host makes.

  Raises:
    UserError: if they cannot be shared.
  """
  if rows % hosts:
    raise UserError(
      "config.pipeline.batch_rows",
      f"found {rows}",
      f"a multiple of the {hosts} hosts",
      f"use {near_multiples(rows, hosts)}",
    )
  return rows // hosts


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
    self._rows = settings.batch_rows
    self._share = share_of_rows(settings.batch_rows, hosts)
    self._first = host * self._share
    self._tokens = Tokens(dataset, settings.row_length, moment, person)
    self._stream = RowStream(
      dataset.events.offsets[:-1],
      dataset.train_ends,
      settings,
      seed,
      skip=0 if settings.begin_token else 1,
    )
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
