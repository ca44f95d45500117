"""Held-out questions → batches, for evaluation and for serving."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.settings import PipelineSettings
from tagrec_jax.data.dataset import Dataset, Questions
from tagrec_jax.data.lists import ranges
from tagrec_jax.data.mapped import gathered
from tagrec_jax.data.pipeline import Batch, Slices, Tokens

_PART = 2**16
"""Questions that are looked at together."""


def question_batches(
  dataset: Dataset,
  questions: Questions,
  settings: PipelineSettings,
  *,
  batch_people: int,
  moment: tuple[str, ...] = (),
  person: tuple[str, ...] = (),
) -> Iterator[Batch]:
  """Held-out questions, one person a row, the shortest histories first.

  People with histories of like length share a batch, and the arrays of a batch
  are as wide as its longest needs: few questions are about long histories, and
  they alone pay for them. Widths are those of `width`, so that only a handful
  of programs is compiled.

  Besides the arrays of a training batch (S at most max_history): `question`
  int32 [B], the place of each row's question among `questions`, UNKNOWN for
  rows that only fill up the last batch; `last` int32 [B], the position that
  answers; `target_ids` int32 [B]; `seen_ids` int32 [B, H], every earlier item
  of the person, padded by UNKNOWN; `history_lengths` int32 [B], of the whole
  history.
  """
  order = _shortest_first(dataset.events.offsets, questions)
  for begin in range(0, len(order), batch_people):
    chosen = order[begin : begin + batch_people]
    person_index, event = questions.people[chosen], questions.events[chosen]
    starts = dataset.events.offsets[person_index]
    # Without a begin token a slice starts at the second event; a question
    # about the first has nothing else to read and gets BEGIN all the same.
    start = np.minimum(starts + (not settings.begin_token), event)
    first = np.maximum(start, event - settings.max_history + 1)
    slices = Slices(person_index.astype(np.int64), first, event + 1)
    size = min(width(slices.lengths), settings.max_history)
    tokens = Tokens(dataset, size, moment, person)
    batch = tokens.batch(slices, np.arange(len(event)), batch_people)
    items = dataset.events.items
    yield batch | {
      "question": padded(chosen, batch_people, UNKNOWN),
      "last": padded(event - first, batch_people, 0),
      "target_ids": padded(items[event], batch_people, UNKNOWN),
      "history_lengths": padded(event - starts, batch_people, 0),
      "seen_ids": padded_lists(items, starts, event, batch_people),
    }


def _shortest_first(offsets: np.ndarray, questions: Questions) -> np.ndarray:
  """Questions in the order of their histories' lengths, else of their own.

  Lengths are counted, so that of millions of questions nothing is in memory but
  a part; the order of many lies in a file.
  """
  count = len(questions.events)
  parts = [slice(at, at + _PART) for at in range(0, count, _PART)]

  def lengths(part: slice) -> np.ndarray:
    return questions.events[part] - offsets[questions.people[part]]

  longest = max((int(lengths(part).max()) for part in parts), default=0)
  counts = np.zeros(longest + 1, np.int64)
  for part in parts:
    counts += np.bincount(lengths(part), minlength=len(counts))
  places = np.cumsum(counts) - counts
  order = gathered(
    (np.zeros(min(_PART, count - part.start)) for part in parts), np.int32
  )
  for part in parts:
    ordered = np.argsort(found := lengths(part), kind="stable")
    found = found[ordered]
    inside = np.arange(len(found)) - np.searchsorted(found, found)
    order[places[found] + inside] = part.start + ordered
    places += np.bincount(found, minlength=len(places))
  return order


def width(lengths: np.ndarray) -> int:
  """The smallest of 4, 8, 16, ... that holds the longest."""
  return max(4, 1 << int(lengths.max() - 1).bit_length())


def padded(values: np.ndarray, size: int, fill: int) -> np.ndarray:
  """The values and then `fill`, int32 [size]."""
  padded = np.full(size, fill, np.int32)
  padded[: len(values)] = values
  return padded


def padded_lists(
  values: np.ndarray, first: np.ndarray, last: np.ndarray, num_rows: int
) -> np.ndarray:
  """values[first:last] of each row, as a padded int32 [num_rows, H]."""
  lengths = last - first
  lists = np.full((num_rows, width(lengths)), UNKNOWN, np.int32)
  row, place = ranges(first, last)
  lists[row, place - first[row]] = values[place]
  return lists
