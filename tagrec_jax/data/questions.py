"""Held-out questions → batches, for evaluation and for serving."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.settings import PipelineSettings
from tagrec_jax.data.dataset import Dataset, Questions
from tagrec_jax.data.pipeline import Batch, Slices, Tokens


def question_batches(
  dataset: Dataset,
  questions: Questions,
  settings: PipelineSettings,
  *,
  batch_people: int,
  moment: tuple[str, ...] = (),
  person: tuple[str, ...] = (),
) -> Iterator[Batch]:
  """Held-out questions, one person a row, in order; the last batch is padded.

  Besides the arrays of a training batch (S = max_history): `last` int32 [B],
  the position that answers; `target_ids` int32 [B]; `seen_ids` int32 [B, H],
  every earlier item of the person, padded by UNKNOWN; `history_lengths` int32
  [B], of the whole history; `mask` bool [B], False for padding rows.
  """
  events = dataset.events
  tokens = Tokens(dataset, settings.max_history, moment, person)
  starts = events.offsets[questions.people]
  seen_counts = questions.events - starts
  widest = max(1, int(seen_counts.max(initial=0)))
  for begin in range(0, len(questions.people), batch_people):
    now = slice(begin, begin + batch_people)
    event, person_index = questions.events[now], questions.people[now]
    # Without a begin token a slice starts at the second event; a question
    # about the first has nothing else to read and gets BEGIN all the same.
    start = np.minimum(starts[now] + (not settings.begin_token), event)
    first = np.maximum(start, event - settings.max_history + 1)
    slices = Slices(person_index.astype(np.int64), first, event + 1)
    batch = tokens.batch(slices, np.arange(len(event)), batch_people)
    batch["last"] = _padded(event - first, batch_people, 0)
    batch["target_ids"] = _padded(events.items[event], batch_people, UNKNOWN)
    batch["history_lengths"] = _padded(seen_counts[now], batch_people, 0)
    batch["mask"] = np.arange(batch_people) < len(event)
    seen = np.full((batch_people, widest), UNKNOWN, np.int32)
    for row, (start, end) in enumerate(zip(starts[now], event, strict=True)):
      seen[row, : end - start] = events.items[start:end]
    batch["seen_ids"] = seen
    yield batch


def _padded(values: np.ndarray, size: int, fill: int) -> np.ndarray:
  padded = np.full(size, fill, np.int32)
  padded[: len(values)] = values
  return padded
