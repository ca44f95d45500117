"""Bad tables of a shop, read as users read them: `folder`, then cleaning.

Each case is a table with one fault beside good rows. What becomes of it is the
reason that is counted, quarantined and shown, or the value that is read.
"""

from __future__ import annotations

import dataclasses
import json
import tracemalloc

import numpy as np
import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.data import store
from tagrec_jax.data.clean import clean
from tagrec_jax.data.event_log import ROW
from tagrec_jax.data.pipeline import TrainBatches
from tagrec_jax.data.prepare import open_or_prepare
from tagrec_jax.data.questions import question_batches
from tagrec_jax.data.sources.folder import Folder
from tests.data.made import SETTINGS, make_dataset
from tests.data.test_pictures import peak_bytes

EVENTS = b"user_id,item_id,timestamp\n" + b"".join(
  b"p%d,%03d,%d\n" % (person, item, 1_700_000_000 + 60 * item)
  for person in range(4)
  for item in range(4)
)


@pytest.fixture
def shop(tmp_path, data_settings):
  """Files of a folder → what cleaning made of them."""

  def read(**files: bytes):
    for name, content in files.items():
      (tmp_path / name.replace("_", ".")).write_bytes(content)
    if not {"events_csv", "events_jsonl"} & set(files):
      (tmp_path / "events.csv").write_bytes(EVENTS)
    return clean(Folder(str(tmp_path)).read(), data_settings())

  return read


def refused(cleaned):
  """The rejections as they are told, without the folder."""
  return [str(r).rpartition("/")[2] for r in cleaned.rejections]


PRICES = {
  "-5": "negative",
  "nan": "not finite",
  "inf": "not finite",
  "1e308": "too large",
  '"1,234.50"': "not a number",
  "12 €": "not a number",
  "0x10": "not a number",
}


@pytest.mark.parametrize(("price", "reason"), PRICES.items())
def test_prices(shop, told, price, reason):
  cleaned = shop(
    items_csv=f"item_id,price\n000,9.5\n001,{price}\n002,\n003,0\n".encode()
  )
  (message,) = refused(cleaned)
  assert message.startswith(f"items.csv:3 [price]: {reason} (")
  assert cleaned.items["001"].numbers == {}  # the product stays, without it
  assert cleaned.items["000"].numbers == {"price": 9.5}
  assert cleaned.items["002"].numbers == {}
  assert cleaned.items["003"].numbers == {"price": 0.0}
  told(f"a price `{price}`", f"`{message}`")


CSV = {
  "a quote that never closes": (b'"open', "broken quotes"),
  "too many cells": (b"001,bag,red,more", "too many columns"),
  "too few cells": (b"001", "too few columns"),
  "a NUL": (b"001,b\0g,red", "NUL character"),
  "bytes that are not UTF-8": (b"001,b\xffg,red", "not UTF-8"),
  "a lone surrogate": (b"001,b\xed\xa0\x80g,red", "not UTF-8"),
  "no id": (b",bag,red", "missing"),
}


@pytest.mark.parametrize("what", CSV)
def test_csv(shop, told, what):
  row, reason = CSV[what]
  cleaned = shop(
    items_csv=b"item_id,title,tags\n000,hat,red\n" + row + b"\n002,coat,blue\n"
  )
  (message,) = refused(cleaned)
  assert message.startswith("items.csv:3 [")
  assert f"]: {reason} (" in message
  assert cleaned.items["000"].title == "hat"
  assert cleaned.items["002"].tags == ("blue",)
  told(f"CSV: {what}", f"`{message}`")


def test_csv_that_is_only_unusual(shop):
  cleaned = shop(
    items_csv='\ufeffitem_id,title,tags\r\n00123,"a, ""b""\r\nc",x|y\r\n'
    "123,other,x\r\n".encode()
  )
  assert cleaned.items["00123"].title == 'a, "b" c'
  assert cleaned.items["123"].title == "other"
  assert not cleaned.rejections


@pytest.mark.parametrize(
  ("header", "message"),
  [
    (b"item_id,title,title", "column 'title' twice"),
    (b"item_id,titles", "column 'titles' is not known, expected 'title'"),
    (b"product,title", "expected a column 'item_id'"),
    (b"", "the file is empty"),
  ],
)
def test_csv_headers(shop, told, header, message):
  with pytest.raises(UserError) as error:
    shop(items_csv=header + b"\n" + b"001,bag\n" * bool(header))
  assert message in str(error.value)
  assert "\n" not in str(error.value)
  said = str(error.value).rpartition("/")[2]
  told(f"CSV: the header `{header.decode()}`", f"`ERROR: {said}`")


JSONL = {
  "a broken line": (b'{"item_id": "001"', "not JSON"),
  "a key twice": (b'{"item_id": "001", "item_id": "2"}', "key given twice"),
  "NaN": (b'{"item_id": "001", "price": NaN}', "NaN is not JSON"),
  "100,000 brackets": (b"[" * 100_000, "nested too deep"),
  "a number of 5,000 digits": (
    b'{"item_id": "001", "price": ' + b"9" * 5000 + b"}",
    "a number with too many digits",
  ),
  "a list": (b"[1, 2]", "not a JSON object"),
  "a title that is a list": (
    b'{"item_id": "001", "title": [["x"]]}',
    "not text",
  ),
  "an id that is true": (b'{"item_id": true}', "not an id"),
}


@pytest.mark.parametrize("what", JSONL)
def test_jsonl(shop, told, what):
  line, reason = JSONL[what]
  cleaned = shop(
    items_jsonl=b'{"item_id": "000", "title": "hat"}\n'
    + line
    + b'\n{"item_id": "002", "title": "coat"}'
  )
  message = refused(cleaned)[0]
  assert message.startswith("items.jsonl:2 [")
  assert reason in message
  assert cleaned.items["000"].title == "hat"
  assert cleaned.items["002"].title == "coat"
  told(f"JSONL: {what}", f"`{message[:100]}`")


EVENT_ROWS = {
  "a time in milliseconds": ("p9,001,1700000000000", "milliseconds"),
  "a negative time": ("p9,001,-5", "before 1970"),
  "a time after 2100": ("p9,001,9000000000", "after 2100"),
  "a time that is none": ("p9,001,yesterday", "not a time"),
  "no time among times": ("p1,009,", "missing"),
  "no person": (",001,1700000000", "missing"),
  "an id of 2,000 characters": (
    f"p9,{'x' * 2000},1700000000",
    "longer than 1000 characters",
  ),
}


@pytest.mark.parametrize("what", EVENT_ROWS)
def test_events(shop, told, what):
  row, reason = EVENT_ROWS[what]
  cleaned = shop(events_csv=EVENTS + row.encode() + b"\n")
  (message,) = refused(cleaned)
  assert reason in message
  assert len(cleaned.events) == 16
  told(f"an event with {what}", f"`{message[:110]}`")


def test_strange_ids_are_names_like_others(shop):
  ids = ["-1", "007", "7", str(2**31), str(2**40 + 3), "nan", "é", "1e5"]
  rows = "".join(f"p,{id},{1_700_000_000 + n}\n" for n, id in enumerate(ids))
  cleaned = shop(events_csv=b"user_id,item_id,timestamp\n" + rows.encode())
  assert [event.item for event in cleaned.events] == ids
  assert set(cleaned.items) == set(ids)


@pytest.mark.parametrize(
  "text",
  [
    "👩‍👩‍👧 bag",
    "حقيبة حمراء",
    "e\u0301te\u0301",
    "zero\u200bwidth",
    "x" * 10**6,
  ],
  ids=["emoji", "rtl", "combining", "zero width", "a million letters"],
)
def test_texts(shop, text):
  line = json.dumps({"item_id": "000", "title": text, "description": text * 10})
  once = shop(items_jsonl=line.encode())
  title = once.items["000"].title
  assert 0 < len(title) <= 1000
  assert len(once.items["000"].description) <= 10_000
  again = shop(
    items_jsonl=json.dumps({"item_id": "0", "title": title}).encode()
  )
  assert again.items["0"].title == title


def test_only_bad_rows_stop_with_their_reasons(tmp_path, data_settings, told):
  rows = b"p,001,soon\n" * 30 + b",001,5\n" * 10 + b"p,002,6\n" * 10
  (tmp_path / "events.csv").write_bytes(b"user_id,item_id,timestamp\n" + rows)
  with pytest.raises(UserError) as error:
    clean(Folder(str(tmp_path)).read(), data_settings(max_bad_rows=0.1))
  said = str(error.value)
  assert "40 of 50 rows are bad (30 x timestamp: not a time" in said
  assert "10 x user_id: missing" in said
  assert "\n" not in said
  begin = said.index("40 of 50")
  told(
    "most rows refused", f"`ERROR: events.csv: {said[begin : begin + 70]}...`"
  )


def test_refused_rows_are_kept_beside_the_data(tmp_path, data_settings, capsys):
  shop = tmp_path / "shop"
  shop.mkdir()
  (shop / "events.csv").write_bytes(EVENTS + b"p1,001,soon\n")
  settings = data_settings(folder=str(shop), cache_dir=str(tmp_path / "cache"))
  for _ in range(2):  # made, then found
    open_or_prepare(Folder(str(shop)), settings)
    assert "what was refused: rejections.jsonl there" in capsys.readouterr().err
  (path,) = (tmp_path / "cache").rglob(store.REJECTIONS)
  assert [json.loads(line) for line in path.read_text().splitlines()] == [
    {
      "file": str(shop / "events.csv"),
      "line": 18,
      "field": "timestamp",
      "reason": "not a time",
      "found": "soon",
    }
  ]


def test_a_million_events_of_one_person():
  dataset = make_dataset([1_000_000, 5])
  settings = dataclasses.replace(SETTINGS, max_history=8)
  tracemalloc.start()
  try:
    batch = TrainBatches(dataset, settings)(0)
    (asked,) = question_batches(dataset, dataset.test, settings, batch_people=2)
    peak = tracemalloc.get_traced_memory()[1]
  finally:
    tracemalloc.stop()
  assert batch["target_ids"].shape == (settings.batch_rows, settings.row_length)
  # The shorter history first; then the newest 8 before the one asked for.
  newest = np.arange(999_991, 999_999)
  np.testing.assert_array_equal(asked["history_ids"][1], newest)
  assert peak < 200 * 2**20


@pytest.mark.nightly
@pytest.mark.parametrize("people", [1, 1000])
def test_longer_logs_take_no_more_memory(
  tmp_path, data_settings, unchecked_types, people
):
  """Three million more cost less than the numbers of each would, but where all
  are of one person, whose events are sorted at a time."""
  settings = data_settings(cache_dir=str(tmp_path))

  def peak(count: int) -> int:
    with (tmp_path / "events.csv").open("w") as file:
      file.write("user_id,item_id,timestamp\n")
      for number in range(count):
        person = f"p{number % people}"
        file.write(f"{person},i{number % 999},{1_600_000_000 + number}\n")
    found = []
    records = Folder(str(tmp_path)).read_quickly()
    rose = peak_bytes(lambda: found.append(clean(records, settings)))
    assert len(found[0].events) == count
    return rose

  peak(300_000)  # imports what it takes, and more
  rose = peak(4_000_000) - peak(1_000_000)
  assert rose < (200 if people == 1 else ROW.itemsize) * 3_000_000
