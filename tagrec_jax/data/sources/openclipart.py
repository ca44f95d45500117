"""Drawings that people gave to all: the Open Clip Art Library.

Licence: CC0 1.0, the public domain. Debian's packages openclipart-svg and
openclipart-png hold the drawings; of their SVG comes what is said of them.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator
from typing import Any

from tagrec_jax.core.settings import DataSettings
from tagrec_jax.data import values
from tagrec_jax.data.records import Item, Record
from tagrec_jax.data.sources.media import media_files
from tagrec_jax.data.sources.rows import Row, first_layout, records
from tagrec_jax.data.sources.tables import jsonl_rows
from tagrec_jax.data.words import words

_FILE = "items.jsonl"
_NUMBER = re.compile(r"\d+")


@dataclasses.dataclass(frozen=True)
class OpenClipart:
  """Reads items.jsonl and the pictures it names, by their paths from there.

  Of a drawing: title, description, artist (brand), category, tags. Category is
  the shelf, such as 'animals/bugs', and its words are often tags; the shelf
  above it ('animals') is a category of its own. There are no people.

  Drawings of one artist whose titles are the same but for numbers are one
  group: many belong to a series ('Part of the Flat Icon Collection').

  Attributes:
    folder: where the table is.
    media: whether the pictures are read too.
  """

  folder: str
  media: bool = False

  @classmethod
  def from_settings(cls, settings: DataSettings) -> OpenClipart:
    return cls(settings.folder, bool(settings.image_size))

  @property
  def name(self) -> str:
    return "openclipart"

  def files(self) -> list[str]:
    """The table, then the pictures if they are read.

    Raises:
      UserError: if there is no table.
    """
    fix = "name the folder of the tidied files of openclipart"
    first_layout(self.folder, {"tidy": (_FILE,)}, fix)
    table = os.path.join(self.folder, _FILE)
    return [table, *(media_files(self.read()) if self.media else ())]

  def read(self) -> Iterator[Record]:
    """Drawings."""
    rows = jsonl_rows(os.path.join(self.folder, _FILE))
    yield from records(rows, self._drawing)

  def _drawing(self, row: Row) -> Item:
    id = row.need("id", values.read_id)
    title = row.maybe("title", values.read_text, "")
    artist = row.maybe("brand", values.read_category, "")
    category = row.maybe("category", values.read_category, "")
    categories = {
      "brand": artist,
      "category": category,
      "shelf": category.partition("/")[0],
    }
    said = " ".join(words(_NUMBER.sub(" ", title)))
    return Item(
      id=id,
      title=title,
      description=row.maybe("description", values.read_text, ""),
      tags=row.maybe("tags", values.read_tags, ()),
      categories={k: c for k, c in categories.items() if c},
      image=row.maybe("image", self._path, ""),
      group=f"{said} by {artist}" if said else id,
    )

  def _path(self, value: Any) -> str:
    path = values.read_inner_path(value)
    return os.path.join(self.folder, path) if path else ""
