"""What a source yields: products, tags, people, events, and refused rows."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

_NOTHING: Mapping[str, Any] = types.MappingProxyType({})


def _nothing() -> Mapping[str, Any]:
  """The same for all: of a million products most say little."""
  return _NOTHING


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
  """A product (film, song, package, post) as its owner describes it.

  Attributes:
    id: unique among items; always a string, '00123' stays '00123'.
    tags: what can be recommended by the tag decoder (genres, hashtags).
    numbers: named quantities, such as {'price': 9.99, 'year': 1995.0}.
    categories: named classes, such as {'brand': 'Nord'}.
    sets: named sets of classes, such as {'specs': ('Co-op', 'Controller')}.
    image, audio: paths of files, '' where there is none.
    group: products of one group are alike (versions, a series) and never stand
      on both sides of a split; '' is a group of its own.
  """

  id: str
  title: str = ""
  description: str = ""
  tags: tuple[str, ...] = ()
  numbers: Mapping[str, float] = dataclasses.field(default_factory=_nothing)
  categories: Mapping[str, str] = dataclasses.field(default_factory=_nothing)
  sets: Mapping[str, tuple[str, ...]] = dataclasses.field(
    default_factory=_nothing
  )
  image: str = ""
  audio: str = ""
  group: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Tag:
  """What is known of a tag besides its name: some words that explain it."""

  id: str
  description: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Person:
  """A person; `categories` such as {'gender': 'F', 'occupation': 'writer'}."""

  id: str
  categories: Mapping[str, str] = dataclasses.field(default_factory=_nothing)


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
  """One thing a person did with one product.

  Attributes:
    time: seconds since 1970-01-01 UTC; None where the data set has only order.
    rating: None where none was given.
    tags: the tags this person gave in this event (a post).
    categories: context of the moment, such as {'device': 'phone'}.
  """

  person: str
  item: str
  time: int | None = None
  rating: float | None = None
  tags: tuple[str, ...] = ()
  categories: Mapping[str, str] = dataclasses.field(default_factory=_nothing)


@dataclasses.dataclass(frozen=True, slots=True)
class Rejection:
  """A row that was not used, and why.

  Attributes:
    file: as the user named it. line: 1-based, 0 where lines have no meaning.
    field: the column or key at fault, '' for the whole row.
    reason: a short constant, such as 'not a number': reasons are counted.
    found: what stood there, shortened.
  """

  file: str
  line: int
  field: str
  reason: str
  found: str = ""

  def __str__(self) -> str:
    return (
      f"{self.file}:{self.line} [{self.field}]: {self.reason} ({self.found!r})"
    )


Record = Item | Tag | Person | Event | Rejection


@runtime_checkable
class Source(Protocol):
  """Reads one raw data set. The order of events in the file is kept."""

  @property
  def name(self) -> str:
    """Of the data set, in messages and in the cache."""
    ...

  def read(self) -> Iterator[Record]:
    """Yields every record; raises UserError if the files cannot be found."""
    ...

  def files(self) -> list[str]:
    """The files `read` opens, for fingerprints; empty if it makes the data."""
    ...
