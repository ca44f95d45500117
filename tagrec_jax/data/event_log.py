"""Events as rows of numbers: a long log lies in files, not in memory."""

from __future__ import annotations

import dataclasses
import pathlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, overload, runtime_checkable

import numpy as np
from jaxtyping import Int64

from tagrec_jax.data.dataset import NO_TIME
from tagrec_jax.data.lists import Lists
from tagrec_jax.data.records import Event, Record, Source
from tagrec_jax.data.spill import Spill

Ids = Any
"""pyarrow.LargeStringArray, which takes a third of what objects would."""

ROW = np.dtype(
  [
    *(("person", np.int32), ("item", np.int32), ("said", np.int32)),
    *(("time", np.int64), ("rating", np.float64)),
  ]
)
"""An event: numbers of its person, product and of what it says; seconds, or
NO_TIME (never float, which loses seconds); NaN where there is no rating."""

Said = tuple[tuple[str, ...], Mapping[str, str]]
"""Tags and categories of an event."""

NO_RATING = float("nan")

_WAITING = 2**18
"""Events that get their numbers together, at least."""


@dataclasses.dataclass(frozen=True)
class EventColumns:
  """Events whose ids and times are good and that say nothing more.

  Attributes:
    people, items: ids.
    times, ratings: as in `ROW`.
  """

  people: Ids
  items: Ids
  times: np.ndarray
  ratings: np.ndarray

  def __len__(self) -> int:
    return len(self.times)

  def __iter__(self) -> Iterator[Event]:
    columns = self.times.tolist(), self.ratings.tolist()
    ids = self.people.to_pylist(), self.items.to_pylist()
    for person, item, time, rating in zip(*ids, *columns, strict=True):
      yield _event(person, item, time, rating)


@runtime_checkable
class QuickSource(Source, Protocol):
  """A source that reads plain events many at a time."""

  def read_quickly(self) -> Iterator[Record | EventColumns]:
    """What `read` gives, in its order but for rejections."""
    ...


class Names:
  """Ids and their numbers, in the order in which they first came."""

  def __init__(self, ids: Ids | None = None):
    import pyarrow as pa

    self.ids = pa.array([], pa.large_string()) if ids is None else ids

  def __len__(self) -> int:
    return len(self.ids)

  def __getitem__(self, number: int) -> str:
    return self.ids[number].as_py()

  def numbers(self, ids: Ids) -> np.ndarray:
    """Of ids, int32 [N]; new ones get the next."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.index_in(ids, value_set=self.ids)
    numbers = found.fill_null(-1).to_numpy(zero_copy_only=False).astype("i4")
    if found.null_count:
      unknown = ids.filter(found.is_null())
      new = unknown.unique()
      places = pc.index_in(unknown, value_set=new).to_numpy()
      numbers[numbers < 0] = len(self.ids) + places
      self.ids = pa.concat_arrays([self.ids, new])
    return numbers

  def order(self) -> np.ndarray:
    """Numbers in the order of the ids' code points, int64 [N]."""
    import pyarrow.compute as pc

    return pc.array_sort_indices(self.ids).to_numpy().astype(np.int64)

  def take(self, numbers: np.ndarray) -> Names:
    import pyarrow as pa

    return Names(self.ids.take(pa.array(numbers)))

  def letters(self) -> Lists:
    """UTF-8 of each id."""
    _, offsets, letters = self.ids.buffers()
    if not len(self):
      return Lists.of(np.zeros(0, np.uint8), np.zeros(0, np.int64))
    ends = np.frombuffer(offsets, np.int64)[self.ids.offset :][: len(self) + 1]
    values = np.frombuffer(letters or b"", np.uint8)
    return Lists(values[ends[0] : ends[-1]], ends - ends[0])


class EventLog(Sequence[Event]):
  """A list of events that are made when they are asked for.

  Most say no more than who took what and when, and how it was rated. What else
  is said is kept once, however many events say it.

  Attributes:
    said: tags and categories of their numbers; the first are none.
  """

  def __init__(
    self, events: Iterable[Event] = (), folder: pathlib.Path | None = None
  ):
    self.folder = folder or pathlib.Path(tempfile.gettempdir())
    self._people, self._items = Names(), Names()
    self.said: list[Said] = [((), {})]
    self._said_numbers = {_key(self.said[0]): 0}
    self._rows = Spill(ROW, self.folder)
    self._waiting: list[tuple[str, str, int, int, float]] = []
    self._columns: list[tuple[EventColumns, np.ndarray]] = []
    self._num_waiting, self._enough = 0, _WAITING
    for event in events:
      self.append(event)

  @property
  def people(self) -> Names:
    """Ids of the numbers of people."""
    self._settle()
    return self._people

  @property
  def items(self) -> Names:
    """Ids of the numbers of products."""
    self._settle()
    return self._items

  def append(self, event: Event) -> None:
    said = 0
    if event.tags or event.categories:
      said = self.say((event.tags, event.categories))
    time = NO_TIME if event.time is None else event.time
    rating = NO_RATING if event.rating is None else event.rating
    self._waiting.append((event.person, event.item, said, time, rating))
    self._num_waiting += 1
    if self._num_waiting >= self._enough:
      self._settle()

  def extend(self, columns: EventColumns) -> None:
    self._turn()
    self._columns.append((columns, np.zeros(len(columns), np.int32)))
    self._num_waiting += len(columns)
    if self._num_waiting >= self._enough:
      self._settle()

  def say(self, said: Said) -> int:
    """The number of what is said."""
    number = self._said_numbers.setdefault(_key(said), len(self.said))
    if number == len(self.said):
      self.said.append(said)
    return number

  def like(self, people: Names) -> EventLog:
    """A log without events, of these people and the same products."""
    log = EventLog(folder=self.folder)
    log._people, log._items = people, self.items
    log.said, log._said_numbers = self.said, self._said_numbers
    return log

  def append_rows(self, rows: np.ndarray) -> None:
    """Events in numbers of this log."""
    self._rows.append(rows)

  def parts(self) -> Iterator[np.ndarray]:
    """All events as `ROW`s, some at a time; not to be changed."""
    self._settle()
    return self._rows.parts()

  def __len__(self) -> int:
    return len(self._rows) + self._num_waiting

  @overload
  def __getitem__(self, place: int) -> Event: ...

  @overload
  def __getitem__(self, place: slice) -> list[Event]: ...

  def __getitem__(self, place: int | slice) -> Event | list[Event]:
    if isinstance(place, slice):
      return [self[number] for number in range(*place.indices(len(self)))]
    place = range(len(self))[place]  # counts from the end too, or raises
    self._settle()
    return next(self.events(self._rows.read(place, place + 1)))

  def __iter__(self) -> Iterator[Event]:
    for rows in self.parts():
      yield from self.events(rows)

  def events(self, rows: np.ndarray) -> Iterator[Event]:
    """Events of rows of this log."""
    people = self.people.take(rows["person"]).ids.to_pylist()
    items = self.items.take(rows["item"]).ids.to_pylist()
    for person, item, (_, _, said, time, rating) in zip(
      people, items, rows.tolist(), strict=True
    ):
      yield _event(person, item, time, rating, self.said[said])

  def __eq__(self, other: object) -> bool:
    if not isinstance(other, Sequence):
      return NotImplemented
    return len(self) == len(other) and all(
      one == another for one, another in zip(self, other, strict=True)
    )

  __hash__ = None  # type: ignore[assignment]

  def __repr__(self) -> str:
    return f"EventLog({list(self)!r})"

  def _turn(self) -> None:
    """Events that wait → columns."""
    import pyarrow as pa

    if self._waiting:
      people, items, said, times, ratings = zip(*self._waiting, strict=True)
      self._waiting = []
      columns = EventColumns(
        pa.array(people, pa.large_string()),
        pa.array(items, pa.large_string()),
        np.array(times, np.int64),
        np.array(ratings, np.float64),
      )
      self._columns.append((columns, np.array(said, np.int32)))

  def _settle(self) -> None:
    """Columns that wait → rows."""
    import pyarrow as pa

    self._turn()
    if not self._columns:
      return
    rows = np.empty(self._num_waiting, ROW)
    columns, said = zip(*self._columns, strict=True)
    self._columns, self._num_waiting = [], 0
    rows["said"] = np.concatenate(said)
    rows["time"] = np.concatenate([each.times for each in columns])
    rows["rating"] = np.concatenate([each.ratings for each in columns])
    people = pa.concat_arrays([each.people for each in columns])
    rows["person"] = self._people.numbers(people)
    del people
    items = pa.concat_arrays([each.items for each in columns])
    rows["item"] = self._items.numbers(items)
    self._rows.append(rows)
    # So that the many that are known are not looked through for a few.
    known = len(self._people) + len(self._items)
    self._enough = max(_WAITING, known // 2)


def add_counts(counts: Int64[np.ndarray, " N"], numbers: np.ndarray) -> None:
  """Adds 1 to the count of each number; quick if they are near each other."""
  if len(numbers):
    first = numbers.min()
    found = np.bincount(numbers - first)
    counts[first : first + len(found)] += found


def _event(
  person: str,
  item: str,
  time: int,
  rating: float,
  said: Said = ((), {}),
) -> Event:
  return Event(
    person,
    item,
    None if time == NO_TIME else time,
    None if rating != rating else rating,
    *said,
  )


def _key(said: Said) -> tuple:
  tags, categories = said
  return tags, tuple(categories.items())
