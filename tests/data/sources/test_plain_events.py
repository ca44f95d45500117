"""Events that are read many at a time are those that are read row by row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tagrec_jax.data.event_log import EventColumns
from tagrec_jax.data.records import Event, Rejection
from tagrec_jax.data.sources import blocks
from tagrec_jax.data.sources.folder import Folder
from tagrec_jax.data.sources.rows import records
from tagrec_jax.data.sources.tables import csv_rows, parquet_rows

CELLS = st.sampled_from(
  [
    *("", "1", "a b", " 7 ", "00123", "é", "x" * 1001, "-1", "+2", "2.5"),
    *(".5", "5.", "1e3", "nan", "0x10", "4102444799", "4102444800", "-0.0"),
    *("0.30000000000000004", "999999999999999.1", "2024-05-01", "12345678901"),
    *('"q"', '"a,b"', '"a\nb"', '"', 'a"b', "\t", "\0", "a\rb", "\x1f1"),
  ]
)
LINES = st.lists(st.lists(CELLS, min_size=3, max_size=5).map(",".join))
HEADER = "user_id,item_id,timestamp,rating"


@given(LINES, st.sampled_from(["\n", "\r\n"]), st.integers(1, 60))
@example(["a,1,5,2.5", "", "b,2,,"], "\n", 1)
@example(["a,1,x,1", "a,1,5,1", '"b",1,5,1', "c,1,5,1"], "\n", 20)
@example(["a,1,5,1", "b,1,5,1", "c,1,5,1", "d,1,x,1"], "\n", 10)
def test_as_rows_are_read(tmp_path_factory, lines, end, size):
  folder = tmp_path_factory.getbasetemp() / "plain"
  folder.mkdir(exist_ok=True)
  path = folder / "events.csv"
  path.write_bytes(end.join([HEADER, *lines]).encode())
  source = Folder(str(folder))
  expected = list(records(csv_rows(str(path)), source._event))
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(blocks, "BLOCK", size)
    found = list(source.read())
  for refused in (True, False):
    assert [r for r in found if isinstance(r, Rejection) is refused] == [
      r for r in expected if isinstance(r, Rejection) is refused
    ]


IDS = ["a", " b", "é", "", None, "x" * 1001, "a b", "\n"]
NUMBERS = [0.1, 4.5, -2.0, 1e20, float("nan"), None, 3.0]
TIMES = [5, None, -1, 4_102_444_799, 4_102_444_800]
COLUMNS = {
  "user_id": [
    *(pa.array(IDS), pa.array(IDS, pa.large_string())),
    *(pa.array(IDS).dictionary_encode(), pa.array([1, None, -2])),
    *(pa.array([1, 2], pa.uint8()), pa.array([True, None])),
    pa.StringArray.from_buffers(
      2, pa.py_buffer(np.array([0, 1, 2], np.int32)), pa.py_buffer(b"a\xff")
    ),
  ],
  "timestamp": [
    *(pa.array(TIMES), pa.array(TIMES, pa.timestamp("s"))),
    *(pa.array(["5", "x", None, "2024-05-01"]), pa.array([5.5, None])),
  ],
  "rating": [
    *(pa.array(NUMBERS), pa.array(NUMBERS, pa.float32())),
    *(pa.array([1, None, 10**16]), pa.array(["2.5", "", "x"])),
  ],
}


@pytest.mark.parametrize("name", COLUMNS)
def test_parquet_as_rows_are_read(tmp_path, name):
  for number, column in enumerate(COLUMNS[name]):
    folder = tmp_path / str(number)
    folder.mkdir()
    whole = {"user_id": ["p"] * len(column), "item_id": ["1"] * len(column)}
    table = pa.table(whole | {"other": ["y"] * len(column), name: column})
    pq.write_table(table, folder / "events.parquet")
    source = Folder(str(folder))
    rows = parquet_rows(str(folder / "events.parquet"))
    assert list(source.read()) == list(records(rows, source._event)), column


def test_plain_events_are_columns(tmp_path):
  lines = ["a,1,5,2", "b, 2 ,,", "c,3,2024-05-01,1", "d,4,6,-1.5"]
  (tmp_path / "events.csv").write_text("\n".join([HEADER, *lines]))
  found = list(Folder(str(tmp_path)).read_quickly())
  (tmp_path / "events.csv").unlink()
  table = pa.table({"user_id": ["a", "b"], "item_id": [1, 2]})
  pq.write_table(table, tmp_path / "events.parquet")
  (both,) = Folder(str(tmp_path)).read_quickly()
  assert list(both) == [Event("a", "1"), Event("b", "2")]
  assert [type(part) is EventColumns for part in found] == [True, False, True]
  assert [len(part) for part in (found[0], found[2])] == [2, 1]
