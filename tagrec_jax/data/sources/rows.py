"""Rows of files, and the way from a row to a record or a rejection."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, Any, TypeVar

from tagrec_jax.core.errors import StorageError, UserError
from tagrec_jax.core.log import warn
from tagrec_jax.data.records import Rejection
from tagrec_jax.data.values import BadValue

T = TypeVar("T")

_SHOWN = 60  # characters of what was found


class BadRow(Exception):
  """A row that gives no record."""

  def __init__(self, rejection: Rejection):
    super().__init__(str(rejection))
    self.rejection = rejection


@dataclasses.dataclass(slots=True)
class Row:
  """One row of a table.

  Attributes:
    file, line: where it stands; the line is 1-based, for Parquet the row.
    values: column → cell; a column may be absent.
    refused: optional fields that were left out.
  """

  file: str
  line: int
  values: Mapping[str, Any]
  refused: list[Rejection] = dataclasses.field(default_factory=list)

  def rejection(self, field: str, reason: str) -> Rejection:
    found = self.values.get(field) if field else ""
    return Rejection(self.file, self.line, field, reason, shown(found))

  def need(self, field: str, read: Callable[[Any], T | None]) -> T:
    """The value of a field without which there is no record.

    Raises:
      BadRow: if it is missing or refused.
    """
    value = self.refusing(field, read)
    if value is None:
      raise BadRow(self.rejection(field, "missing"))
    return value

  def refusing(self, field: str, read: Callable[[Any], T]) -> T:
    """The value of a field, which may be missing but must not be bad.

    Raises:
      BadRow: if it is refused.
    """
    try:
      return read(self.values.get(field))
    except BadValue as bad:
      raise BadRow(self.rejection(field, bad.reason)) from None

  def maybe(self, field: str, read: Callable[[Any], T], otherwise: T) -> T:
    """The value of a field; where it is refused, the record goes without."""
    try:
      return read(self.values.get(field))
    except BadValue as bad:
      self.refused.append(self.rejection(field, bad.reason))
      return otherwise


def records(
  rows: Iterable[Row | Rejection], make: Callable[[Row], T]
) -> Iterator[T | Rejection]:
  """A record or a rejection for each row, then its refused fields."""
  for row in rows:
    if isinstance(row, Rejection):
      yield row
      continue
    try:
      yield make(row)
    except BadRow as bad:
      yield bad.rejection
    yield from row.refused


def shown(value: Any) -> str:
  """The beginning of a value, for a message."""
  if value is None:
    return ""
  if isinstance(value, str):
    return value[:_SHOWN]
  if isinstance(value, bool | int | float):
    return str(value)[:_SHOWN]
  # Nested values may be too deep to print.
  return type(value).__name__


def delimited(
  path: str,
  delimiter: str,
  names: tuple[str, ...] = (),
  encoding: str = "utf-8",
) -> Iterator[Row | Rejection]:
  """Lines cut at every delimiter; there is no quoting.

  Args:
    path: the file.
    delimiter: one or several characters.
    names: of the columns; if there are none, the first line names them, and
      the types that RecBole writes behind a colon are dropped.
    encoding: bytes that do not fit it reject their row.
  """
  with opened_text(path, encoding) as file:
    for number, line in enumerate(file, 1):
      cells = line.rstrip("\r\n").split(delimiter)
      if not names:
        names = tuple(cell.partition(":")[0] for cell in cells)
      elif problem := row_problem(cells, len(names)):
        yield Rejection(path, number, "", problem, shown(line.rstrip()))
      else:
        yield Row(path, number, dict(zip(names, cells, strict=True)))


@contextlib.contextmanager
def opened(path: str, mode: str = "r", **options: Any) -> Iterator[IO]:
  """An open file; what goes wrong with it is a `StorageError`.

  Of a name that ends in .gz, what is packed in the file.
  """
  try:
    opener: Callable[..., IO] = gzip.open if path.endswith(".gz") else open
    if "b" not in mode:
      mode += "t"  # without it gzip gives bytes
    with opener(path, mode, **options) as file:
      yield file
  except (OSError, EOFError, zlib.error) as error:
    reason = getattr(error, "strerror", None) or error
    raise StorageError(path, f"cannot be read ({reason})") from error


def opened_text(
  path: str, encoding: str, newline: str = "\n"
) -> contextlib.AbstractContextManager[IO]:
  """A text file whose bad bytes become lone surrogates: see `row_problem`."""
  return opened(
    path, encoding=encoding, errors="surrogateescape", newline=newline
  )


def row_problem(cells: list[str], columns: int) -> str:
  """Why a row of text cells cannot be used, or ''."""
  if len(cells) != columns:
    return "too few columns" if len(cells) < columns else "too many columns"
  for cell in cells:
    if "\0" in cell:
      return "NUL character"
    if not cell.isascii():
      try:
        cell.encode()
      except UnicodeEncodeError:
        return "not UTF-8"
  return ""


def first_layout(
  folder: str, layouts: Mapping[str, tuple[str, ...]], fix: str
) -> str:
  """The first layout all of whose files are in a folder.

  Args:
    folder: where to look.
    layouts: name → the files it needs.
    fix: what to do if there is none.

  Raises:
    UserError: naming the files looked for.
  """
  for name, needed in layouts.items():
    if all(os.path.isfile(os.path.join(folder, file)) for file in needed):
      return name
  raise UserError(
    "config.data.folder",
    f"'{folder}' is not a folder"
    if not os.path.isdir(folder)
    else f"'{folder}' does not hold the files",
    " or ".join(" + ".join(needed) for needed in layouts.values()),
    fix,
  )


def good(found: Iterable[T | Rejection]) -> Iterator[T]:
  """The records; each row that is refused is told in a warning."""
  for record in found:
    if isinstance(record, Rejection):
      warn(str(record))
    else:
      yield record
