"""Events as columns: a long log takes tens of bytes an event, not hundreds."""

from __future__ import annotations

import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import overload

import numpy as np

from tagrec_jax.data.dataset import NO_TIME
from tagrec_jax.data.records import Event

Said = tuple[tuple[str, ...], Mapping[str, str]]
"""Tags and categories of an event."""

_NOTHING: Said = ((), {})
_NO_RATING = float("nan")


class Names:
  """Ids and their numbers, in the order in which they first came."""

  def __init__(self) -> None:
    self.ids: list[str] = []
    self._numbers: dict[str, int] = {}

  def number(self, id: str) -> int:
    """Of an id, a new one if it has none yet."""
    number = self._numbers.setdefault(id, len(self.ids))
    if number == len(self.ids):
      self.ids.append(id)
    return number


class EventLog(Sequence[Event]):
  """A list of events that are made when they are asked for.

  Most say no more than who took what and when, and how it was rated; tags and
  categories are kept besides for those that have some.

  Attributes:
    people_ids, item_ids: of the numbers of people and products.
    said: place of an event → its tags and categories, in the order of events.
  """

  def __init__(self, events: Iterable[Event] = ()):
    self._person_names, self._item_names = Names(), Names()
    self._columns: tuple[array.array, ...] = (
      *(array.array("i"), array.array("i")),
      *(array.array("q"), array.array("d")),
    )
    self.said: dict[int, Said] = {}
    for event in events:
      self.append(event)

  def append(self, event: Event) -> None:
    self._note(len(self), event)
    people, items, times, ratings = self._columns
    people.append(self._person_names.number(event.person))
    items.append(self._item_names.number(event.item))
    times.append(NO_TIME if event.time is None else event.time)
    ratings.append(_NO_RATING if event.rating is None else event.rating)

  def change(self, place: int, event: Event) -> None:
    """Another rating, other tags and categories of the same event."""
    self._columns[3][place] = (
      _NO_RATING if event.rating is None else event.rating
    )
    self._note(place, event)

  def take(self, rows: np.ndarray) -> EventLog:
    """The events at some places, in their order."""
    taken = EventLog()
    taken._person_names = self._person_names
    taken._item_names = self._item_names
    taken._columns = tuple(
      array.array(column.typecode, np.asarray(column)[rows].tobytes())
      for column in self._columns
    )
    if self.said:
      talks = np.zeros(len(self), bool)
      talks[list(self.said)] = True
      taken.said = {
        place: self.said[int(rows[place])]
        for place in np.flatnonzero(talks[rows]).tolist()
      }
    return taken

  @property
  def people(self) -> np.ndarray:
    """int32 [E] numbers of people."""
    return np.array(self._columns[0], np.int32)

  @property
  def items(self) -> np.ndarray:
    """int32 [E] numbers of products."""
    return np.array(self._columns[1], np.int32)

  @property
  def times(self) -> np.ndarray:
    """int64 [E] seconds, or NO_TIME. Never float, which loses seconds."""
    return np.array(self._columns[2], np.int64)

  @property
  def ratings(self) -> np.ndarray:
    """float64 [E], NaN where there is none."""
    return np.array(self._columns[3], np.float64)

  @property
  def people_ids(self) -> list[str]:
    return self._person_names.ids

  @property
  def item_ids(self) -> list[str]:
    return self._item_names.ids

  def __len__(self) -> int:
    return len(self._columns[0])

  @overload
  def __getitem__(self, place: int) -> Event: ...

  @overload
  def __getitem__(self, place: slice) -> list[Event]: ...

  def __getitem__(self, place: int | slice) -> Event | list[Event]:
    if isinstance(place, slice):
      return [self[number] for number in range(*place.indices(len(self)))]
    place = range(len(self))[place]  # counts from the end too, or raises
    people, items, times, ratings = self._columns
    time, rating = times[place], ratings[place]
    return Event(
      self.people_ids[people[place]],
      self.item_ids[items[place]],
      None if time == NO_TIME else time,
      None if rating != rating else rating,
      *self.said.get(place, _NOTHING),
    )

  def __iter__(self) -> Iterator[Event]:
    return (self[place] for place in range(len(self)))

  def __eq__(self, other: object) -> bool:
    if not isinstance(other, Sequence):
      return NotImplemented
    return len(self) == len(other) and all(
      one == another for one, another in zip(self, other, strict=True)
    )

  __hash__ = None  # type: ignore[assignment]

  def __repr__(self) -> str:
    return f"EventLog({list(self)!r})"

  def _note(self, place: int, event: Event) -> None:
    if event.tags or event.categories:
      self.said[place] = event.tags, event.categories
