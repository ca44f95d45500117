"""Ranked lists for people: known ones, new ones, and nobody in particular."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.registry import nearest
from tagrec_jax.core.settings import Settings
from tagrec_jax.data.dataset import (
  NO_TIME,
  Dataset,
  Interactions,
  Questions,
)
from tagrec_jax.data.questions import question_batches
from tagrec_jax.data.spec import Part
from tagrec_jax.decoding.topk import top_k
from tagrec_jax.serving.requests import Request

Answer = dict[str, Any]


class Recommender:
  """Answers requests with a trained model.

  A request becomes what an evaluation question is: a person's events with one
  more event of which only the moment is known. So the model is asked exactly
  as it was measured.

  Args:
    scores: batch → target → scores [B, C], the model with its parameters.
    dataset: the prepared data set the model was trained on.
    settings: of the run.
  """

  def __init__(
    self,
    scores: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    dataset: Dataset,
    settings: Settings,
  ):
    self._scores = scores
    self._dataset = dataset
    self._settings = settings

  def answer(
    self,
    requests: Sequence[Request],
    *,
    targets: Sequence[str] = ("items",),
    k: int = 10,
    exclude_seen: bool = True,
  ) -> Iterator[Answer]:
    """One answer for each request, in order.

    Args:
      targets: 'items', 'tags' or both, among those the model was trained for.
      k: length of each list.
      exclude_seen: leave out what the history holds; never applies to tags.

    Yields:
      {"person", "history": titles, "unknown": ids not in the catalogue,
      "items": [{"id", "title", "score"}], "tags": [{"tag", "score"}]}.

    Raises:
      UserError: a person the data set does not know, without a history, or a
        context it does not have.
    """
    histories = [self._history(request) for request in requests]
    size = min(len(requests), self._settings.evaluation.batch_people)
    for begin in range(0, len(requests), max(1, size)):
      now = slice(begin, begin + size)
      yield from self._answer_batch(
        requests[now], histories[now], size, targets, k, exclude_seen
      )

  def _answer_batch(
    self,
    requests: Sequence[Request],
    histories: Sequence[list[tuple[str, int]]],
    size: int,
    targets: Sequence[str],
    k: int,
    exclude_seen: bool,
  ) -> Iterator[Answer]:
    asked, questions = self._as_questions(requests, histories)
    (batch,) = question_batches(
      asked,
      questions,
      self._settings.pipeline,
      batch_people=size,
      moment=self._settings.model.moment,
      person=self._settings.model.person,
    )
    scores = self._scores(batch)
    nothing = np.full((size, 0), UNKNOWN, np.int32)
    seen = batch["seen_ids"] if exclude_seen else nothing
    lists = {
      target: top_k(scores[target], k, seen if target == "items" else nothing)
      for target in targets
    }
    # Rows are not in the order of requests.
    rows = np.argsort(batch["question"][: len(requests)])
    for row, request, history in zip(rows, requests, histories, strict=True):
      found = {t: (i[row], s[row]) for t, (i, s) in lists.items()}
      yield self._write(request, history, found)

  def _history(self, request: Request) -> list[tuple[str, int]]:
    """(item id, time) of each event, oldest first."""
    if request.history is not None:
      return [
        (t.item, NO_TIME if t.time is None else t.time) for t in request.history
      ]
    row = self._dataset.people.index(request.person)
    if row == UNKNOWN:
      raise UserError(
        "person",
        f"'{request.person}' is not in the data set",
        "a known person, or a history",
        nearest(request.person, list(self._dataset.people.ids[:1000])[:5])
        + " or give --history",
      )
    events = self._dataset.events
    mine = events.of(row)
    ids = self._dataset.all_items.ids
    return [
      (ids[item] if item >= 0 else "", int(time))
      for item, time in zip(events.items[mine], events.times[mine], strict=True)
    ]

  def _as_questions(
    self,
    requests: Sequence[Request],
    histories: Sequence[list[tuple[str, int]]],
  ) -> tuple[Dataset, Questions]:
    """The requests as people of a data set, each with one unknown event."""
    items = [
      [*self._dataset.all_items.indices(id for id, _ in history), UNKNOWN]
      for history in histories
    ]
    times = [
      [*(time for _, time in history), NO_TIME if r.time is None else r.time]
      for r, history in zip(requests, histories, strict=True)
    ]
    offsets = np.cumsum([0, *(len(row) for row in items)]).astype(np.int64)
    people = self._dataset.people.indices(r.person for r in requests)
    person = {
      name: np.where(people >= 0, values[people], UNKNOWN)
      for name, values in self._dataset.person.items()
    }
    events = Interactions(
      offsets,
      np.concatenate(items).astype(np.int32),
      np.concatenate(times).astype(np.int64),
      moment=self._moment(requests, histories),
    )
    asked = dataclasses.replace(self._dataset, events=events, person=person)
    rows = np.arange(len(requests), dtype=np.int32)
    return asked, Questions(rows, offsets[1:] - 1)

  def _moment(
    self,
    requests: Sequence[Request],
    histories: Sequence[list[tuple[str, int]]],
  ) -> dict[str, np.ndarray]:
    """The classes of each event's moment; the last is the one asked.

    Of a history that comes with a request nothing is known.
    """
    encodings = {
      e.feature.name: e.names
      for e in self._dataset.encodings
      if e.feature.part is Part.MOMENT
    }
    for name in {name for request in requests for name in request.context}:
      if name not in encodings:
        raise UserError(
          "context",
          f"found '{name}'",
          f"one of {', '.join(encodings) or 'none'}",
          nearest(name, list(encodings)) if encodings else "leave it out",
        )
    events, people = self._dataset.events, self._dataset.people
    moment = {}
    for name, classes in encodings.items():
      parts = []
      for request, history in zip(requests, histories, strict=True):
        past = np.full(len(history), UNKNOWN, np.int32)
        if request.history is None:
          past = events.moment[name][events.of(people.index(request.person))]
        asked = classes.index(request.context.get(name, ""))
        parts.append(np.append(past, np.int32(asked)))
      moment[name] = np.concatenate(parts)
    return moment

  def _write(
    self,
    request: Request,
    history: list[tuple[str, int]],
    found: Mapping[str, tuple[Any, Any]],
  ) -> Answer:
    items, titles = self._dataset.all_items, self._dataset.titles
    rows = [(id, items.index(id)) for id, _ in history]
    answer: Answer = {
      "person": request.person,
      "history": [titles[row] for _, row in rows if row >= 0],
      "unknown": [id for id, row in rows if row < 0 and id],
    }
    for target, (indices, scores) in found.items():
      best = [
        (int(i), round(float(s), 4))
        for i, s in zip(np.asarray(indices), np.asarray(scores), strict=True)
        if i >= 0
      ]
      if target == "items":
        answer["items"] = [
          {"id": items.ids[i], "title": titles[i], "score": score}
          for i, score in best
        ]
      else:
        tags = self._dataset.all_tags.ids
        answer["tags"] = [{"tag": tags[i], "score": s} for i, s in best]
    return answer
