from __future__ import annotations

import contextlib
import datetime
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tagrec_jax.core.errors import StorageError, TagrecError, UserError
from tagrec_jax.data.records import Rejection
from tagrec_jax.data.sources.rows import Row, delimited
from tagrec_jax.data.sources.tables import (
  csv_rows,
  jsonl_rows,
  parquet_rows,
)


def read(reader, path: pathlib.Path, content: bytes):
  """(line, values) of each row, (line, reason) of each rejection."""
  path.write_bytes(content)
  return [
    (row.line, row.reason if isinstance(row, Rejection) else dict(row.values))
    for row in reader(str(path))
  ]


@pytest.fixture
def read_csv(tmp_path):
  return lambda content: read(csv_rows, tmp_path / "t.csv", content)


@pytest.fixture
def read_jsonl(tmp_path):
  return lambda content: read(jsonl_rows, tmp_path / "t.jsonl", content)


def test_csv_bom_crlf_quotes_and_ids(read_csv):
  content = (
    '\ufeffid, title \r\n00123,"a, ""b"""\r\n\r\n2,"two\r\nlines"\r\n3,grün\r\n'
  ).encode()
  assert read_csv(content) == [
    (2, {"id": "00123", "title": 'a, "b"'}),
    (4, {"id": "2", "title": "two\r\nlines"}),
    (6, {"id": "3", "title": "grün"}),
  ]


def test_csv_rows_that_cannot_be_read(read_csv):
  content = (
    b"id,title\n1,a,b\n2\n3,x\0y\n4,\xff\xfe\n"
    b'5,"a"b\n6,ok\n7,"never closed\n8,fine\n9,also\n'
  )
  assert read_csv(content) == [
    (2, "too many columns"),
    (3, "too few columns"),
    (4, "NUL character"),
    (5, "not UTF-8"),
    (6, "broken quotes"),
    (7, {"id": "6", "title": "ok"}),
    (8, "broken quotes"),
    (9, {"id": "8", "title": "fine"}),
    (10, {"id": "9", "title": "also"}),
  ]


def test_csv_shows_what_was_found(tmp_path):
  path = tmp_path / "t.csv"
  path.write_text("id,title\n1," + "a," * 100)
  (row,) = csv_rows(str(path))
  assert isinstance(row, Rejection)
  assert str(row).startswith(f"{path}:2 []: too many columns ('1,a,a,")
  assert len(row.found) == 60


@pytest.mark.parametrize(
  ("content", "found"),
  [
    (b"", "the file is empty"),
    (b"\n\n", "the file is empty"),
    (b"id,title,id\n1,a,2\n", "column 'id' twice"),
    (b"id,,title\n", "a column without a name"),
    (b'id,"title\n1,a\n', "broken header"),
    ("id,title\n1,a\n".encode("utf-16"), "the header is not UTF-8 text"),
  ],
)
def test_csv_header(read_csv, content, found):
  with pytest.raises(UserError, match=found):
    read_csv(content)


def test_csv_cell_of_ten_megabytes(read_csv):
  cell = b"x" * 10_000_000
  ((_, row),) = read_csv(b"id,title\n1," + cell + b"\n")
  assert len(row["title"]) == len(cell)


def test_jsonl(read_jsonl):
  content = (
    '\ufeff{"id": "00123", "tags": ["a"]}\n'
    "\n"
    '{"id": 7, "title": "grün\\u2028"}\r\n'
    '{"id": "last"}'
  ).encode()
  assert read_jsonl(content) == [
    (1, {"id": "00123", "tags": ["a"]}),
    (3, {"id": 7, "title": "grün\u2028"}),
    (4, {"id": "last"}),
  ]


@pytest.mark.parametrize(
  ("line", "reason"),
  [
    (b'{"id": ', "not JSON"),
    (b'{"id": 1, "id": 2}', "key given twice"),
    (b'{"id": NaN}', "NaN is not JSON"),
    (b'{"id": -Infinity}', "-Infinity is not JSON"),
    (b"[" * 100_000, "nested too deep"),
    (b'{"id": ' + b"9" * 5000 + b"}", "a number with too many digits"),
    (b"[1]", "not a JSON object"),
    (b'{"id": "\xff"}', "not UTF-8"),
    (b"\0\0", "not JSON"),
  ],
)
def test_jsonl_lines_that_cannot_be_read(read_jsonl, line, reason):
  assert read_jsonl(line + b'\n{"id": 1}\n') == [(1, reason), (2, {"id": 1})]


def test_jsonl_names_the_key_given_twice(tmp_path):
  (tmp_path / "t.jsonl").write_text('{"a": 1, "b": 2, "b": 3}')
  (row,) = jsonl_rows(str(tmp_path / "t.jsonl"))
  assert isinstance(row, Rejection)
  assert row.field == "b"


def test_parquet(tmp_path):
  noon = datetime.datetime(2024, 5, 1, 12, 0, 0, 999_999)
  table = pa.table(
    {
      "id": pa.array(["00123", "2"]),
      "tags": pa.array([["a", "b"], None]),
      "time": pa.array([noon, None], pa.timestamp("ns")),
      "day": pa.array([noon.date(), None], pa.date32()),
    }
  )
  path = str(tmp_path / "t.parquet")
  pq.write_table(table, path)
  first, second = parquet_rows(path)
  assert isinstance(first, Row)
  assert first.values == {
    "id": "00123",
    "tags": ["a", "b"],
    "time": 1714564800,
    "day": 1714521600,
  }
  assert isinstance(second, Row)
  assert (second.line, second.values["time"]) == (2, None)


def test_parquet_text_that_is_not_utf8(tmp_path):
  bad = pa.StringArray.from_buffers(
    3,
    pa.py_buffer(b"\x00\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0"),
    pa.py_buffer(b"a\xffb"),
  )
  path = str(tmp_path / "t.parquet")
  pq.write_table(pa.table({"id": bad}), path)
  rows = [
    row.reason if isinstance(row, Rejection) else row.values["id"]
    for row in parquet_rows(path)
  ]
  assert rows == ["a", "not UTF-8", "b"]


def test_parquet_that_is_damaged(tmp_path):
  path = tmp_path / "t.parquet"
  pq.write_table(pa.table({"id": [str(n) for n in range(10_000)]}), path)
  whole = path.read_bytes()
  for content in (b"", b"no parquet", whole[:-9], whole[: len(whole) // 2]):
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"t\.parquet: damaged"):
      list(parquet_rows(str(path)))


def test_parquet_column_twice(tmp_path):
  path = str(tmp_path / "t.parquet")
  pq.write_table(pa.table([pa.array([1]), pa.array([2])], ["id", "id"]), path)
  with pytest.raises(UserError, match="column 'id' twice"):
    list(parquet_rows(path))


def test_delimited(tmp_path):
  content = b"id:token\tname:token_seq\n1\ta\n2\n3\t\xff\n4\tb\r\n"
  found = read(lambda path: delimited(path, "\t"), tmp_path / "t", content)
  assert found == [
    (2, {"id": "1", "name": "a"}),
    (3, "too few columns"),
    (4, "not UTF-8"),
    (5, {"id": "4", "name": "b"}),
  ]


@pytest.mark.parametrize("reader", [csv_rows, jsonl_rows, parquet_rows])
def test_files_that_cannot_be_opened(reader, tmp_path):
  with pytest.raises(StorageError, match="cannot be read"):
    list(reader(str(tmp_path / "missing")))
  with pytest.raises(StorageError, match="cannot be read"):
    list(reader(str(tmp_path)))


@contextlib.contextmanager
def told_in_one_line():
  """Good or refused: both are fine, but not a crash."""
  message = ""
  try:
    yield
  except TagrecError as error:
    message = str(error)
  assert "\n" not in message


# Pieces that mean something to a parser, and any bytes at all.
csv_bytes = st.lists(
  st.sampled_from([b'"', b",", b"\n", b"\r", b"\0", b"\xff", b"a", b'"x"'])
).map(b"".join)
json_bytes = st.lists(
  st.sampled_from(
    [b"{", b"}", b"[", b'"', b'"a":', b"1", b",", b"\n", b"NaN", b"\xff"]
  )
).map(b"".join)
fuzz = settings(
  max_examples=100,
  suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@fuzz
@given(st.binary() | csv_bytes)
def test_csv_survives_anything(read_csv, content):
  content = b"id,title\n" + content
  found = read_csv(content)
  lines = [line for line, _ in found]
  assert lines == sorted(set(lines))
  for _, row in found:
    assert isinstance(row, str) or set(row) == {"id", "title"}


@fuzz
@given(st.binary())
def test_csv_header_is_good_or_told(read_csv, content):
  with told_in_one_line():
    read_csv(content)


@fuzz
@given(st.binary() | json_bytes)
def test_jsonl_survives_anything(read_jsonl, content):
  for _, row in read_jsonl(content):
    assert isinstance(row, str | dict)


@settings(
  max_examples=30,
  suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_parquet_with_a_byte_flipped_is_read_or_told(tmp_path, data):
  path = tmp_path / "t.parquet"
  pq.write_table(pa.table({"id": ["a", "b"], "n": [1, 2]}), path)
  content = bytearray(path.read_bytes())
  place = data.draw(st.integers(0, len(content) - 1))
  content[place] ^= 1 << data.draw(st.integers(0, 7))
  path.write_bytes(content)
  with told_in_one_line():
    list(parquet_rows(str(path)))
