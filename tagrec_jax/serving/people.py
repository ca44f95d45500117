"""Requests as people of a data set, each with one more event."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.registry import nearest
from tagrec_jax.data import places
from tagrec_jax.data.clean import tidy_tags
from tagrec_jax.data.dataset import (
  NO_TIME,
  Dataset,
  Interactions,
  Questions,
)
from tagrec_jax.data.lists import Lists
from tagrec_jax.data.spec import Part
from tagrec_jax.serving.requests import Request, Taken

History = tuple[Taken, ...]


@dataclasses.dataclass(frozen=True)
class Group:
  """Requests that are asked together.

  Attributes:
    requests: in order.
    histories: of each, oldest first; a product that is not known has no id.
    dataset: its people are these requests, and nothing of it trains.
    questions: the last event of each.
    size: rows of the batch, the same in every group.
  """

  requests: Sequence[Request]
  histories: Sequence[History]
  dataset: Dataset
  questions: Questions
  size: int


class People:
  """Makes of a request what an evaluation question is.

  A person's events are followed by one of which only the moment is known, and
  the product where its tags are asked. So a model is asked as it was measured.

  Args:
    dataset: the prepared data set the model was trained on.
    most: requests asked together.
  """

  def __init__(self, dataset: Dataset, most: int):
    self._dataset = dataset
    self._most = most

  def groups(self, requests: Sequence[Request]) -> Iterator[Group]:
    """All requests, in order.

    Raises:
      UserError: a person the data set does not know, without a history, or a
        context it does not have.
    """
    histories = [self._history(request) for request in requests]
    size = min(len(requests), self._most)
    for begin in range(0, len(requests), max(1, size)):
      now = slice(begin, begin + size)
      asked = self._as_dataset(requests[now], histories[now])
      last = asked.events.offsets[1:] - 1
      rows = np.arange(len(last), dtype=np.int32)
      yield Group(
        requests[now], histories[now], asked, Questions(rows, last), size
      )

  def _history(self, request: Request) -> History:
    if request.history is not None:
      return request.history
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
    items, tags = self._dataset.all_items.ids, self._dataset.all_tags.ids
    posted = events.posted or Lists.empty(len(events.items))
    return tuple(
      Taken(
        items[events.items[event]] if events.items[event] >= 0 else "",
        None if events.times[event] == NO_TIME else int(events.times[event]),
        tuple(tags[tag] for tag in posted[event]),
      )
      for event in range(mine.start, mine.stop)
    )

  def _as_dataset(
    self, requests: Sequence[Request], histories: Sequence[History]
  ) -> Dataset:
    """The requests as people, each with the event that is asked about."""
    events = [
      taken
      for request, history in zip(requests, histories, strict=True)
      for taken in (*history, Taken(request.item, request.time))
    ]
    lengths = [len(history) + 1 for history in histories]
    offsets = np.cumsum([0, *lengths]).astype(np.int64)
    times = [NO_TIME if e.time is None else e.time for e in events]
    tags = [
      self._dataset.all_tags.indices(tidy_tags(event.tags)) for event in events
    ]
    people = self._dataset.people.indices(r.person for r in requests)
    person = {
      name: np.where(people >= 0, values[people], UNKNOWN)
      for name, values in self._dataset.person.items()
    }
    return dataclasses.replace(
      self._dataset,
      events=Interactions(
        offsets,
        self._dataset.all_items.indices(event.item for event in events),
        np.array(times, np.int64),
        Lists.of(np.concatenate(tags), np.array([len(t) for t in tags])),
        self._moment(requests, histories),
      ),
      train_ends=offsets[:-1],
      person=person,
    )

  def _moment(
    self, requests: Sequence[Request], histories: Sequence[History]
  ) -> dict[str, np.ndarray]:
    """The classes of each event's moment; the last is the one asked.

    Of a history that comes with a request nothing is known.
    """
    encodings = {
      e.feature.name: e.names
      for e in self._dataset.encodings
      if e.feature.part is Part.MOMENT
    }
    contexts = [
      places.told(request.context, encodings, "context") for request in requests
    ]
    for name in {name for context in contexts for name in context}:
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
      for request, history, context in zip(
        requests, histories, contexts, strict=True
      ):
        past = np.full(len(history), UNKNOWN, np.int32)
        if request.history is None:
          past = events.moment[name][events.of(people.index(request.person))]
        asked = classes.index(context.get(name, ""))
        parts.append(np.append(past, np.int32(asked)))
      moment[name] = np.concatenate(parts)
    return moment
