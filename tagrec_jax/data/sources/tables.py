"""CSV, JSONL and Parquet files as rows; whatever is in them, nothing crashes.

Cells of CSV stay text. A row that cannot be read is a `Rejection`; only a file
whose columns cannot be told at all is an error.
"""

from __future__ import annotations

import collections
import contextlib
import csv
import json
from collections.abc import Iterator, Sequence
from typing import Any

from tagrec_jax.core.errors import UserError
from tagrec_jax.data.records import Rejection
from tagrec_jax.data.sources.rows import (
  Row,
  opened,
  opened_text,
  row_problem,
  shown,
)

LARGEST_CELL = 2**24
"""Characters of one CSV cell; csv's own limit is 2**17."""

_BATCH = 2**16  # rows of Parquet that are read together


def csv_rows(path: str) -> Iterator[Row | Rejection]:
  """Rows of a CSV file in UTF-8 with a header line.

  A BOM, CRLF, and quoted commas and line ends are understood. Where a quote
  never closes, only its own line is lost.

  Raises:
    UserError: if the header is missing or names a column twice.
    StorageError: if the file cannot be opened.
  """
  # newline="" leaves the line ends inside quotes to csv.
  with opened_text(path, "utf-8-sig", newline="") as file:
    yield from csv_lines(path, file)


def csv_lines(
  path: str, file: Iterator[str], names: Sequence[str] = (), line: int = 1
) -> Iterator[Row | Rejection]:
  """Rows of lines, the first of which is the header, or of `names`.

  Args:
    path: that messages name.
    line: the number of the first.
  """
  # The limit is one for the whole process: raised, never lowered.
  csv.field_size_limit(max(LARGEST_CELL, csv.field_size_limit()))
  lines = _Lines(file, line)
  reader = csv.reader(lines, strict=True)
  while True:
    line = lines.begin_row()
    try:
      cells = next(reader)
    except StopIteration:
      break
    except csv.Error as error:
      lines.keep_first_only()
      if not names:
        found = f"broken header ({error})"
        raise UserError(f"{path}:1", found, "quotes that close") from error
      yield Rejection(path, line, "", "broken quotes", shown(lines.first))
      continue
    if not cells:
      continue  # an empty line
    if not names:
      names = header(path, cells)
    elif problem := row_problem(cells, len(names)):
      yield Rejection(path, line, "", problem, shown(lines.first))
    else:
      yield Row(path, line, dict(zip(names, cells, strict=True)))
  if not names:
    raise UserError(path, "the file is empty", "a line of column names")


class _Lines:
  """Lines of a file, remembered while csv assembles one row of them.

  csv reads on where a quote does not close. Once it gives up, all lines but
  the first go back to be read as rows of their own.
  """

  def __init__(self, file: Iterator[str], first: int):
    self._file = file
    self._again: collections.deque[str] = collections.deque()
    self._taken: list[str] = []
    self._number = first

  def __iter__(self) -> Iterator[str]:
    return self

  def __next__(self) -> str:
    line = self._again.popleft() if self._again else next(self._file)
    self._taken.append(line)
    return line

  @property
  def first(self) -> str:
    return self._taken[0].rstrip() if self._taken else ""

  def begin_row(self) -> int:
    """The number of the line at which the next row begins."""
    self._number += len(self._taken)
    self._taken.clear()
    return self._number

  def keep_first_only(self) -> None:
    self._again.extendleft(reversed(self._taken[1:]))
    del self._taken[1:]


def header(path: str, cells: Sequence[str]) -> list[str]:
  """Names of columns."""
  names = [cell.strip() for cell in cells]
  where = f"{path}:1"
  if row_problem(names, len(names)):
    raise UserError(where, "the header is not UTF-8 text", "CSV in UTF-8")
  twice = [name for name, n in collections.Counter(names).items() if n > 1]
  if twice or "" in names:
    found = f"column '{twice[0]}' twice" if twice else "a column without a name"
    raise UserError(where, found, "one name for each column")
  return names


def jsonl_rows(path: str) -> Iterator[Row | Rejection]:
  """Rows of a JSONL file: one object a line, in UTF-8.

  Raises:
    StorageError: if the file cannot be opened.
  """
  with opened(path, "rb") as file:
    for number, line in enumerate(file, 1):
      text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
      if not text.strip():
        continue
      try:
        yield Row(path, number, _object(text))
      except _BadJson as bad:
        found = shown(text.decode(errors="replace").rstrip())
        yield Rejection(path, number, bad.field, bad.reason, found)


class _BadJson(ValueError):
  def __init__(self, reason: str, field: str = ""):
    super().__init__(reason)
    self.reason = reason
    self.field = field


def _object(line: bytes) -> dict[str, Any]:
  try:
    value = json.loads(
      line.decode(),
      object_pairs_hook=_unique,
      parse_constant=_no_constant,
    )
  except _BadJson:
    raise
  except UnicodeDecodeError:
    raise _BadJson("not UTF-8") from None
  except RecursionError:
    raise _BadJson("nested too deep") from None
  except json.JSONDecodeError:
    raise _BadJson("not JSON") from None
  except ValueError:  # Python refuses to read thousands of digits
    raise _BadJson("a number with too many digits") from None
  if not isinstance(value, dict):
    raise _BadJson("not a JSON object")
  return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  members = dict(pairs)
  if len(members) < len(pairs):
    names = collections.Counter(name for name, _ in pairs)
    raise _BadJson("key given twice", shown(names.most_common(1)[0][0]))
  return members


def _no_constant(name: str) -> Any:
  raise _BadJson(f"{name} is not JSON")


def parquet_rows(path: str) -> Iterator[Row | Rejection]:
  """Rows of a Parquet file; times of any unit become seconds.

  Raises:
    UserError: if it is not a Parquet file, is damaged, or has a column twice.
    StorageError: if it cannot be opened.
  """
  for number, batch in parquet_batches(path):
    yield from batch_rows(path, number, batch)


def parquet_batches(path: str) -> Iterator[tuple[int, Any]]:
  """Rows of a Parquet file as Arrow's, and the number of the first, from 1.

  Raises:
    UserError, StorageError: as `parquet_rows`.
  """
  import pyarrow as pa
  import pyarrow.parquet as pq

  number = 1
  with opened(path, "rb") as file, _damage_told(path):
    table = pq.ParquetFile(file)
    header(path, table.schema_arrow.names)
    for batch in table.iter_batches(batch_size=_BATCH):
      plain = [_seconds(column) for column in batch.columns]
      names = batch.schema.names
      yield number, pa.RecordBatch.from_arrays(plain, names=names)
      number += batch.num_rows


def batch_rows(path: str, number: int, batch: Any) -> Iterator[Row | Rejection]:
  """Rows of what `parquet_batches` gives."""
  with _damage_told(path):
    for place, value in enumerate(_plain_rows(batch), number):
      if value is None:
        yield Rejection(path, place, "", "not UTF-8")
      else:
        yield Row(path, place, value)


@contextlib.contextmanager
def _damage_told(path: str) -> Iterator[None]:
  import pyarrow as pa

  try:
    yield
  except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
    found = f"damaged or not Parquet ({str(error).partition(chr(10))[0]})"
    raise UserError(path, found, "a Parquet file") from error


def _seconds(column: Any) -> Any:
  import pyarrow as pa

  if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
    return column.cast(pa.timestamp("s"), safe=False).cast(pa.int64())
  return column


def _plain_rows(batch: Any) -> Iterator[dict[str, Any] | None]:
  """Python values of each row; None where text is not UTF-8."""
  try:
    yield from batch.to_pylist()
    return
  except UnicodeDecodeError:
    pass
  for row in range(batch.num_rows):
    try:
      yield batch.slice(row, 1).to_pylist()[0]
    except UnicodeDecodeError:
      yield None
