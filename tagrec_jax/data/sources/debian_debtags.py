"""The packages of Debian, with the tags that Debian's people gave them.

Licence: free, as Debian's own; texts belong to their packages.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import DataSettings
from tagrec_jax.data import values
from tagrec_jax.data.records import Item, Record, Rejection, Tag
from tagrec_jax.data.sources.debian_control import paragraphs
from tagrec_jax.data.sources.rows import Row, first_layout, opened, records
from tagrec_jax.data.sources.tables import jsonl_rows

_LAYOUTS = {
  "tidy": ("items.jsonl.gz", "tag_vocabulary.json"),
  "debian": ("Packages",),
}
_FIX = (
  "on Debian: apt-cache show $(apt-cache pkgnames) > Packages, and copy "
  "/var/lib/debtags/vocabulary beside it"
)
_SPECIAL = "special::"  # of the work of tagging, not of the package


@dataclasses.dataclass(frozen=True)
class DebianDebtags:
  """Packages with name, synopsis, description, section, size and tags.

  The layout is told by the files: items.jsonl.gz and tag_vocabulary.json
  (tidied), or `Packages` with or without `vocabulary`, as any machine with
  Debian has them: `apt-cache show $(apt-cache pkgnames) > Packages` (`apt-cache
  dumpavail` leaves long descriptions out), and /var/lib/debtags/vocabulary of
  the package debtags. Packages of one source package ('libfoo1', 'libfoo-dev')
  share most of their text: they are a group.

  Attributes:
    folder: where the files are.
  """

  folder: str

  @classmethod
  def from_settings(cls, settings: DataSettings) -> DebianDebtags:
    return cls(settings.folder)

  @property
  def name(self) -> str:
    return "debian_debtags"

  def files(self) -> list[str]:
    """The files of the layout.

    Raises:
      UserError: naming the files looked for.
    """
    return self._find()[1]

  def read(self) -> Iterator[Record]:
    """Tags, then packages."""
    layout, files = self._find()
    if layout == "tidy":
      yield from _tidy_tags(files[1])
      yield from records(jsonl_rows(files[0]), _tidy_package)
      return
    for path in files[1:]:
      yield from _tags(path)
    yield from records(paragraphs(files[0]), _package)

  def _find(self) -> tuple[str, list[str]]:
    layout = first_layout(self.folder, _LAYOUTS, _FIX)
    files = [os.path.join(self.folder, file) for file in _LAYOUTS[layout]]
    vocabulary = os.path.join(self.folder, "vocabulary")
    if layout == "debian" and os.path.isfile(vocabulary):
      files.append(vocabulary)
    return layout, files


def _tidy_package(row: Row) -> Item:
  return _item(
    row,
    ("id", "source", "brand", "section", "priority"),
    ("size_bytes", "installed_kb"),
    texts=(
      row.maybe("title", values.read_text, ""),
      row.maybe("description", values.read_text, ""),
    ),
    tags=row.maybe("tags", values.read_tags, ()),
    kinds=row.maybe("app_categories", values.read_tags, ()),
  )


def _package(row: Row) -> Item:
  # With translations installed, apt calls the English text so.
  texts = row.maybe("Description-en", values.read_text, "") or row.maybe(
    "Description", values.read_text, ""
  )
  synopsis, _, description = texts.partition("\n")
  tags = row.maybe("Tag", values.read_text, "").split(",")
  return _item(
    row,
    ("Package", "Source", "Maintainer", "Section", "Priority"),
    ("Size", "Installed-Size"),
    texts=(synopsis, description),
    tags=tuple(tag.strip() for tag in tags if tag.strip()),
  )


def _item(
  row: Row,
  classes: tuple[str, str, str, str, str],
  sizes: tuple[str, str],
  *,
  texts: tuple[str, str],
  tags: tuple[str, ...],
  kinds: tuple[str, ...] = (),
) -> Item:
  """A package; the two layouts name the same columns in their own ways."""
  package = row.need(classes[0], values.read_id)
  source, maintainer, section, priority = (
    row.maybe(column, values.read_category, "") for column in classes[1:]
  )
  size, installed = (
    row.maybe(column, values.read_positive, None) for column in sizes
  )
  numbers = {"size_bytes": size, "installed_kb": installed}
  categories = {
    "brand": maintainer.partition(" <")[0],
    "section": section,
    "priority": priority,
  }
  return Item(
    id=package,
    title=f"{package}: {texts[0]}",
    description=texts[1],
    tags=tuple(tag for tag in tags if not tag.startswith(_SPECIAL)),
    numbers={k: n for k, n in numbers.items() if n is not None},
    categories={k: c for k, c in categories.items() if c},
    sets={"app_categories": kinds} if kinds else {},
    group=source.partition(" (")[0] or package,
  )


def _tags(path: str) -> Iterator[Tag | Rejection]:
  """Of a vocabulary, whose other paragraphs describe facets, groups of tags."""
  for row in paragraphs(path):
    if isinstance(row, Rejection) or "Tag" in row.values:
      yield from records([row], lambda row: _tag(row, "Tag", "Description"))


def _tidy_tags(path: str) -> Iterator[Tag | Rejection]:
  try:
    with opened(path, encoding="utf-8") as file:
      entries = json.load(file)
    rows = [
      Row(path, 0, entry)
      for entry in entries
      if isinstance(entry, dict) and "tag" in entry
    ]
  except (ValueError, TypeError, RecursionError) as error:
    found = f"not readable ({str(error)[:80]})"
    raise UserError(path, found, "a list of tags as objects") from error
  yield from records(rows, lambda row: _tag(row, "tag", "description"))


def _tag(row: Row, name: str, description: str) -> Tag:
  return Tag(
    row.need(name, values.read_id),
    row.maybe(description, values.read_text, ""),
  )
