"""Your own shop: a folder of plain tables."""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import DataSettings
from tagrec_jax.data import places, values
from tagrec_jax.data.event_log import EventColumns
from tagrec_jax.data.records import (
  Event,
  Item,
  Person,
  Record,
  Rejection,
  Tag,
)
from tagrec_jax.data.sources.blocks import (
  Batch,
  Block,
  csv_blocks,
  parquet_blocks,
)
from tagrec_jax.data.sources.media import media_files
from tagrec_jax.data.sources.plain_events import plain_events
from tagrec_jax.data.sources.rows import BadRow, Row, records
from tagrec_jax.data.sources.tables import csv_rows, jsonl_rows, parquet_rows

_READERS: Mapping[str, Callable[[str], Iterator[Row | Rejection]]] = {
  ".csv": csv_rows,
  ".jsonl": jsonl_rows,
  ".parquet": parquet_rows,
}

_BLOCKS: Mapping[str, Callable[[str], Iterator[Any]]] = {
  ".csv": csv_blocks,
  ".jsonl": jsonl_rows,
  ".parquet": parquet_blocks,
}

_ITEM_COLUMNS = (
  "item_id",
  "title",
  "description",
  "tags",
  "price",
  "year",
  "brand",
  "image",
  "audio",
  "group",
  *places.COLUMNS,
)
_EVENT_COLUMNS = (
  *("user_id", "item_id", "timestamp", "rating", "tags", "tag"),
  *places.COLUMNS,
)
_NEEDED = ("user_id", "item_id")
_PREFIXES = ("number_", "category_", "set_", "context_")
_SIMILAR = 0.8  # a column this like a known one is taken for a slip


@dataclasses.dataclass(frozen=True)
class Folder:
  """Reads `items`, `events` and `people`, each .csv, .jsonl or .parquet.

  There must be events or items; people may be absent. Columns in any order:

  items
    item_id         required
    title           text
    description     text
    tags            'red|leather', or a list
    price           a number that is not negative
    year            a number
    number_<name>   a number, kept as <name>
    brand           a class
    category_<name> a class, kept as <name>
    set_<name>      classes, as tags are written, kept as <name>
    image, audio    a file, its path seen from the folder
    group           products with the same one are alike (sizes, a series): all
                    of them train, or none
  events
    user_id         required
    item_id         required; items known only from here have no content
    timestamp       seconds since 1970 UTC, or ISO 8601 (UTC without a zone);
                    without it, a person's events are in order of the file
    rating          a number
    tags or tag     the tags this person gave, as above; one tag. Rows of one
                    person, product and second are one event with all tags
    context_<name>  a class of the moment, kept as <name>; not 'hour',
                    'weekday', 'month' or 'gap', which times tell
  people
    user_id         required
    any other       a class, kept under its name
  each of them
    latitude,       degrees, where it happened, they live or it stands; with
    longitude       `place_km` the cells that hold the point are classes, see
                    data/places.py; without it neither is read

  CSV is UTF-8 with a header; cells stay text, so '00123' stays '00123'.
  Numbers are plain ('1234.5'): '1,234.50', '12 €', 'nan' and a negative price
  are refused, never repaired. An item or a person goes without a refused field;
  an event with one is refused whole. Every refusal is a `Rejection`. Other
  columns of items and events are ignored, but an error if they look like a
  slip ('time_stamp').

  Attributes:
    folder: where the tables are.
    media: whether the pictures and clips are read too.
    place_km: sides of the cells in which places are told.
  """

  folder: str
  media: bool = False
  place_km: tuple[float, ...] = ()

  @classmethod
  def from_settings(cls, settings: DataSettings) -> Folder:
    media = bool(settings.image_size or settings.audio_seconds)
    return cls(settings.folder, media, settings.place_km)

  @property
  def name(self) -> str:
    return os.path.basename(os.path.abspath(self.folder))

  def files(self) -> list[str]:
    """The tables, then the pictures and clips if they are read.

    Raises:
      UserError: if there is no table, or one in two formats.
    """
    tables = self._tables()
    files = list(tables.values())
    if self.media and "items" in tables:
      files += media_files(self._items(tables["items"]))
    return files

  def read(self) -> Iterator[Record]:
    """Items, people, then events.

    Raises:
      UserError: if a table is missing or its columns are wrong.
    """
    for found in self.read_quickly():
      if isinstance(found, EventColumns):
        yield from found
      else:
        yield found

  def read_quickly(self) -> Iterator[Record | EventColumns]:
    """As `read`; most events of CSV and Parquet without more as columns."""
    tables = self._tables()
    if "items" in tables:
      yield from self._items(tables["items"])
    if "people" in tables:
      yield from records(_rows(tables["people"], ("user_id",)), self._person)
    if "events" in tables:
      yield from self._events(tables["events"])

  def _tables(self) -> dict[str, str]:
    tables = {}
    for table in ("items", "people", "events"):
      paths = [os.path.join(self.folder, table + end) for end in _READERS]
      there = [path for path in paths if os.path.isfile(path)]
      if len(there) > 1:
        found = " and ".join(os.path.basename(path) for path in there)
        raise UserError(
          self.folder, f"holds {found}", "one of them", "remove the other"
        )
      if there:
        tables[table] = there[0]
    if "events" not in tables and "items" not in tables:
      raise UserError(
        "config.data.folder",
        f"'{self.folder}' holds no table",
        "events or items, as .csv, .jsonl or .parquet",
        "name the folder of your tables",
      )
    return tables

  def _items(self, table: str) -> Iterator[Item | Rejection]:
    return records(_rows(table, ("item_id",), _ITEM_COLUMNS), self.item)

  def item(self, row: Row) -> Item:
    """One row of `items`."""
    return Item(
      id=row.need("item_id", values.read_id),
      title=row.maybe("title", values.read_text, ""),
      description=row.maybe("description", values.read_text, ""),
      tags=row.maybe("tags", values.read_tags, ()),
      numbers=_numbers(row),
      categories=_item_categories(row) | self._place_if_good(row),
      sets=_sets(row),
      image=row.maybe("image", self._path, ""),
      audio=row.maybe("audio", self._path, ""),
      group=row.maybe("group", values.read_category, ""),
    )

  def _path(self, value: Any) -> str:
    path = values.read_inner_path(value)
    return os.path.join(self.folder, path) if path else ""

  def _person(self, row: Row) -> Person:
    known = ("user_id", *places.COLUMNS)
    classes = {
      column: row.maybe(column, values.read_category, "")
      for column in row.values
      if column not in known
    }
    return Person(
      row.need("user_id", values.read_id),
      _present(classes) | self._place_if_good(row),
    )

  def _events(self, path: str) -> Iterator[Event | EventColumns | Rejection]:
    checked = False
    for found in _BLOCKS[os.path.splitext(path)[1]](path):
      in_block = isinstance(found, Block | Batch)
      if not checked and not isinstance(found, Rejection):
        checked = True
        names = found.names if in_block else found.values
        _check_columns(path, list(names), _NEEDED, _EVENT_COLUMNS)
      if not in_block:
        yield from records((found,), self._event)
      elif self._say_more(found.names):
        yield from records(found.rows(), self._event)
      else:
        yield from plain_events(found, self._event)

  def _say_more(self, columns: Sequence[str]) -> bool:
    """Whether events may say more than who took what, when and how good."""
    more = {"tag", "tags"} | set(places.COLUMNS if self.place_km else ())
    return any(name in more or name.startswith("context_") for name in columns)

  def _event(self, row: Row) -> Event:
    tag = row.refusing("tag", values.read_text).strip()
    tags = row.refusing("tags", values.read_tags)
    classes = {
      name: row.refusing(column, values.read_category)
      for column, name in _prefixed(row, "context_")
    }
    return Event(
      person=row.need("user_id", values.read_id),
      item=row.need("item_id", values.read_id),
      time=row.refusing("timestamp", values.read_time),
      rating=row.refusing("rating", values.read_number),
      tags=(*tags, tag) if tag and tag not in tags else tags,
      categories=_present(classes) | self._place(row),
    )

  def _place(self, row: Row) -> dict[str, str]:
    """The cells that hold the point a row tells, if it does.

    Raises:
      BadRow: if one of its two numbers is missing or refused.
    """
    if not self.place_km:
      return {}
    latitude = row.refusing(places.LATITUDE, values.read_latitude)
    longitude = row.refusing(places.LONGITUDE, values.read_longitude)
    if latitude is None and longitude is None:
      return {}
    if latitude is None:
      raise BadRow(row.rejection(places.LATITUDE, "missing"))
    if longitude is None:
      raise BadRow(row.rejection(places.LONGITUDE, "missing"))
    return places.cells(latitude, longitude, self.place_km)

  def _place_if_good(self, row: Row) -> dict[str, str]:
    """The same; where a number is refused, the record goes without."""
    try:
      return self._place(row)
    except BadRow as bad:
      row.refused.append(bad.rejection)
      return {}


def read_items(
  path: str, place_km: tuple[float, ...] = ()
) -> Iterator[Item | Rejection]:
  """Products of one table, as in the folder; paths are seen from its folder.

  Raises:
    UserError: if the table cannot be read or its columns are wrong.
  """
  _check_format(path)
  rows = _rows(path, ("item_id",), _ITEM_COLUMNS)
  folder = Folder(os.path.dirname(path), place_km=place_km)
  return records(rows, folder.item)


def read_tags(path: str) -> Iterator[Tag | Rejection]:
  """Tags of a table with the columns 'tag' and, optional, 'description'.

  Raises:
    UserError: as for `read_items`.
  """
  _check_format(path)
  return records(_rows(path, ("tag",), ("tag", "description")), _tag)


def _tag(row: Row) -> Tag:
  return Tag(
    row.need("tag", values.read_id),
    row.maybe("description", values.read_text, ""),
  )


def _check_format(path: str) -> None:
  end = os.path.splitext(path)[1]
  if end not in _READERS:
    raise UserError(
      path, f"found the ending '{end}'", f"one of {', '.join(_READERS)}"
    )


def _item_categories(row: Row) -> dict[str, str]:
  categories = {"brand": row.maybe("brand", values.read_category, "")}
  for column, name in _prefixed(row, "category_"):
    categories[name] = row.maybe(column, values.read_category, "")
  return _present(categories)


def _sets(row: Row) -> dict[str, tuple[str, ...]]:
  sets: dict[str, tuple[str, ...]] = {
    name: row.maybe(column, values.read_tags, ())
    for column, name in _prefixed(row, "set_")
  }
  return {name: members for name, members in sets.items() if members}


def _numbers(row: Row) -> dict[str, float]:
  numbers = {
    "price": row.maybe("price", values.read_positive, None),
    "year": row.maybe("year", values.read_number, None),
  }
  for column, name in _prefixed(row, "number_"):
    numbers[name] = row.maybe(column, values.read_number, None)
  return {k: number for k, number in numbers.items() if number is not None}


def _present(categories: Mapping[str, str]) -> dict[str, str]:
  return {name: value for name, value in categories.items() if value}


def _prefixed(row: Row, prefix: str) -> Iterator[tuple[str, str]]:
  """The columns with a prefix, and their names without it."""
  for column in row.values:
    if column.startswith(prefix):
      yield column, column.removeprefix(prefix)


def _rows(
  path: str, required: tuple[str, ...], known: tuple[str, ...] = ()
) -> Iterator[Row | Rejection]:
  """The rows of a table whose columns the first row shows to be right."""
  end = os.path.splitext(path)[1]
  checked = False
  for row in _READERS[end](path):
    if not checked and isinstance(row, Row):
      checked = True
      _check_columns(path, list(row.values), required, known)
    yield row


def _check_columns(
  path: str, columns: list[str], required: tuple[str, ...], known: tuple
) -> None:
  for column in columns:
    if column in known or column.startswith(_PREFIXES):
      continue
    slip = difflib.get_close_matches(column.lower(), known, 1, _SIMILAR)
    if slip:
      raise UserError(
        path,
        f"column '{column}' is not known",
        f"'{slip[0]}', if that is meant",
        "rename the column",
      )
  for name in required:
    if name not in columns:
      raise UserError(
        path,
        f"found the columns {', '.join(columns)}",
        f"a column '{name}'",
        "rename the column that holds it",
      )
