"""CSV and Parquet in blocks, most of which need no look at each row.

Lines of printable ASCII without quotes are plain: they mean to any reader of
CSV what they mean to csv_rows. All else is read by that, so nothing is taken or
refused that it would not take or refuse.
"""

from __future__ import annotations

import codecs
import dataclasses
import functools
import io
from collections.abc import Iterator, Sequence
from typing import Any

from tagrec_jax.data.records import Rejection
from tagrec_jax.data.sources.rows import Row, opened
from tagrec_jax.data.sources.tables import (
  LARGEST_CELL,
  batch_rows,
  csv_lines,
  csv_rows,
  header,
  parquet_batches,
)

BLOCK = 2**22
"""Bytes, about."""

_PLAIN = bytes(set(range(0x20, 0x7F)) - set(b'"')) + b"\r\n"


@dataclasses.dataclass(frozen=True)
class Block:
  """Whole plain lines, none of them empty.

  Attributes:
    file: its path.
    line: the number of the first, from 1.
    names: of the columns.
    content: the lines.
  """

  file: str
  line: int
  names: Sequence[str]
  content: bytes

  def columns(self, names: Sequence[str]) -> list[Any] | None:
    """Cells as large strings of Arrow; None if only rows can be read."""
    import pyarrow as pa
    from pyarrow import csv

    try:
      table = csv.read_csv(
        pa.BufferReader(self.content),
        csv.ReadOptions(
          use_threads=False,
          block_size=len(self.content) + 1,
          column_names=list(self.names),
        ),
        csv.ParseOptions(quote_char=False, double_quote=False),
        csv.ConvertOptions(
          column_types=dict.fromkeys(names, pa.large_string()),
          include_columns=list(names),
          strings_can_be_null=False,
        ),
      )
    except pa.ArrowInvalid:
      return None
    return [table[name].combine_chunks() for name in names]

  def rows(self) -> Iterator[Row | Rejection]:
    """As `csv_rows` gives them."""
    lines = io.TextIOWrapper(
      io.BytesIO(self.content), "utf-8", "surrogateescape", newline=""
    )
    return csv_lines(self.file, lines, self.names, self.line)

  def row(self, place: int) -> Row | Rejection:
    """One of them, if there are columns."""
    cells = self._lines[place].decode().split(",")
    values = dict(zip(self.names, cells, strict=True))
    return Row(self.file, self.line + place, values)

  @functools.cached_property
  def _lines(self) -> list[bytes]:
    return self.content.splitlines()


@dataclasses.dataclass(frozen=True)
class Batch:
  """Rows of Parquet, which are read like a `Block`.

  Attributes:
    file: its path.
    line: the number of the first, from 1.
    content: a batch of Arrow's.
  """

  file: str
  line: int
  content: Any

  @property
  def names(self) -> Sequence[str]:
    return self.content.schema.names

  def columns(self, names: Sequence[str]) -> list[Any] | None:
    import pyarrow as pa

    try:
      self.content.validate(full=True)  # that text is UTF-8
    except pa.ArrowInvalid:
      return None
    found = [_as_text(self.content.column(name)) for name in names]
    return None if any(column is None for column in found) else found

  def rows(self) -> Iterator[Row | Rejection]:
    return batch_rows(self.file, self.line, self.content)

  def row(self, place: int) -> Row | Rejection:
    one = self.content.slice(place, 1)
    return next(batch_rows(self.file, self.line + place, one))


def _as_text(column: Any) -> Any:
  """Values as they would stand in CSV; None if not all are text or numbers."""
  import pyarrow as pa

  if pa.types.is_dictionary(column.type):
    column = column.dictionary_decode()
  kind = column.type
  if pa.types.is_floating(kind):
    column = column.cast(pa.float64())  # else rounded when written
  elif not (
    pa.types.is_integer(kind)
    or pa.types.is_string(kind)
    or pa.types.is_large_string(kind)
  ):
    return None
  return column.cast(pa.large_string()).fill_null("")


def parquet_blocks(path: str) -> Iterator[Batch]:
  """A file as `parquet_rows` reads it, as blocks.

  Raises:
    UserError, StorageError: as that.
  """
  for number, batch in parquet_batches(path):
    yield Batch(path, number, batch)


def csv_blocks(path: str) -> Iterator[Block | Row | Rejection]:
  """A file as `csv_rows` reads it, but rows of plain blocks as blocks.

  Raises:
    UserError: if the header is missing or names a column twice.
    StorageError: if the file cannot be opened.
  """
  with opened(path, "rb") as file:
    first = file.readline(LARGEST_CELL)
    names = _plain_header(path, first)
    if not names:
      yield from csv_rows(path)
      return
    line = 2
    while content := file.read(BLOCK):
      content += file.readline()
      if b'"' in content or _ends_alone(content):  # rows may end anywhere
        file.seek(-len(content), io.SEEK_CUR)
        text = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="")
        yield from csv_lines(path, text, names, line)
        return
      block = Block(path, line, names, content)
      if _is_plain(content):
        yield block
      else:
        yield from block.rows()
      line += content.count(b"\n")


def _plain_header(path: str, line: bytes) -> list[str]:
  """The names of columns; none if it takes more to read them."""
  line = line.removeprefix(codecs.BOM_UTF8)
  if not line.strip() or not line.endswith(b"\n") or not _is_plain(line):
    return []
  return header(path, line.decode().rstrip("\r\n").split(","))


def _ends_alone(lines: bytes) -> bool:
  """Whether a line ends as it did on old Macintoshes."""
  return lines.count(b"\r") != lines.count(b"\r\n")


def _is_plain(lines: bytes) -> bool:
  return (
    len(lines) <= LARGEST_CELL
    and not lines.translate(None, _PLAIN)
    and not _ends_alone(lines)
    and not lines.startswith((b"\n", b"\r"))
    and b"\n\n" not in lines
    and b"\n\r" not in lines
  )
