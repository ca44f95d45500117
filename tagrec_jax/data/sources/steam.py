"""Games of the Steam store, with reviews.

Licence: research use. Source: Kang and McAuley, Self-Attentive Sequential
Recommendation, ICDM 2018, whose authors publish the games of the store and
reviews of them.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import os
import re
from collections.abc import Iterator

from tagrec_jax.core.settings import DataSettings
from tagrec_jax.data import values
from tagrec_jax.data.records import Event, Item, Record
from tagrec_jax.data.sources.rows import Row, first_layout, records
from tagrec_jax.data.sources.tables import csv_rows, jsonl_rows
from tagrec_jax.data.words import words

_FILES = ("items.jsonl", "events.csv")
_SUBTITLE = re.compile(r"\s[-–—]\s|:")
_NUMBER = re.compile(r"\d+|[ivx]+")


@dataclasses.dataclass(frozen=True)
class Steam:
  """Reads items.jsonl and events.csv, both with ids of the store.

  Of a game: title, price, year, critics' score, developer (brand), publisher
  and what the store says it has (specs). Not read are `genres`, of which 99 %
  are tags, and `early_access`, which is the tag of that name: the answer would
  stand in the question. Specs stay, though 'MMO' and headsets tell a tag nearly
  as well: a shop knows them when it lists a new game, before anyone tags it.

  A game, its sequels and its add-ons are one group: those of one developer
  whose titles begin alike, up to a colon, a dash or a number.

  Events are reviews, with 1 as rating where the game is recommended, else 0.

  Attributes:
    folder: where the two files are.
  """

  folder: str

  @classmethod
  def from_settings(cls, settings: DataSettings) -> Steam:
    return cls(settings.folder)

  @property
  def name(self) -> str:
    return "steam"

  def files(self) -> list[str]:
    """The two files.

    Raises:
      UserError: naming the files looked for.
    """
    fix = "name the folder of the tidied files of Steam"
    first_layout(self.folder, {"tidy": _FILES}, fix)
    return [os.path.join(self.folder, file) for file in _FILES]

  def read(self) -> Iterator[Record]:
    """Games, then events."""
    games, events = self.files()
    yield from records(jsonl_rows(games), _game)
    yield from records(csv_rows(events), _review)


def series(title: str) -> str:
  """How the titles of a series begin: 'FlatOut 2™: Demo' → 'flatout'."""
  begin = words(_SUBTITLE.split(title.strip(), maxsplit=1)[0])
  # A number that comes first is the title itself.
  rest = itertools.takewhile(lambda w: not _NUMBER.fullmatch(w), begin[1:])
  return " ".join([*begin[:1], *rest])


def _game(row: Row) -> Item:
  id = row.need("id", values.read_id)
  title = row.maybe("title", values.read_text, "")
  categories = {
    name: row.maybe(name, values.read_category, "")
    for name in ("brand", "publisher")
  }
  released = row.maybe("release_date", values.read_time, None)
  numbers = {
    "price": row.maybe("price", values.read_positive, None),
    "metascore": row.maybe("metascore", values.read_positive, None),
    "year": None if released is None else _year(released),
  }
  specs: tuple[str, ...] = row.maybe("specs", values.read_tags, ())
  begins = series(title)
  return Item(
    id=id,
    title=title,
    tags=row.maybe("tags", values.read_tags, ()),
    numbers={k: n for k, n in numbers.items() if n is not None},
    categories={k: c for k, c in categories.items() if c},
    sets={"specs": specs} if specs else {},
    group=f"{begins} of {categories['brand']}" if begins else id,
  )


def _year(seconds: int) -> float:
  date = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
  return float(date.year)


def _review(row: Row) -> Event:
  return Event(
    person=row.need("user_id", values.read_id),
    item=row.need("item_id", values.read_id),
    time=row.refusing("timestamp", values.read_time),
    rating=row.refusing("rating", values.read_number),
  )
