from __future__ import annotations

import dataclasses
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tagrec_jax.core.errors import UserError
from tagrec_jax.data import places
from tagrec_jax.data.records import Event, Item, Person, Rejection
from tagrec_jax.data.sources.folder import Folder, read_items


@pytest.fixture
def shop(tmp_path):
  """Writes tables; gives what is read, rejections as (file:line, field)."""

  def read(**tables: str | bytes):
    for name, content in tables.items():
      table, _, end = name.rpartition("_")
      raw = content.encode() if isinstance(content, str) else content
      (tmp_path / f"{table}.{end}").write_bytes(raw)
    good, refused = [], []
    for record in Folder(str(tmp_path)).read():
      if isinstance(record, Rejection):
        where = f"{pathlib.Path(record.file).name}:{record.line}"
        refused.append((where, record.field, record.reason))
      else:
        good.append(record)
    return good, refused

  return read


def test_the_documented_layout(shop, tmp_path):
  good, refused = shop(
    items_csv=(
      "item_id,title,description,tags,price,year,number_weight,brand,"
      "category_colour,set_rooms,image,audio,group,stock\n"
      '00123,Lamp,"Warm, dim",a|b,9.90,2020,1.5,Nord,red,hall|bath,i/1.png,'
      "a.wav,lamps,7\n"
      "2,,,,,,,,,,,,,\n"
    ),
    events_csv=(
      "user_id,item_id,timestamp,rating,tags,tag,context_device\n"
      "007,00123,1714559400,4.5,x|y,z,phone\n"
      "007,2,2024-05-01T10:30:00Z,,,,\n"
    ),
    people_csv="user_id,gender,city\n007,M,Ulm\n8,,\n",
  )
  assert not refused
  assert good == [
    Item(
      "00123",
      title="Lamp",
      description="Warm, dim",
      tags=("a", "b"),
      numbers={"price": 9.9, "year": 2020.0, "weight": 1.5},
      categories={"brand": "Nord", "colour": "red"},
      sets={"rooms": ("hall", "bath")},
      image=str(tmp_path / "i/1.png"),
      audio=str(tmp_path / "a.wav"),
      group="lamps",
    ),
    Item("2"),
    Person("007", {"gender": "M", "city": "Ulm"}),
    Person("8"),
    Event(
      "007", "00123", 1714559400, 4.5, ("x", "y", "z"), {"device": "phone"}
    ),
    Event("007", "2", 1714559400),
  ]


def test_every_format_says_the_same(tmp_path):
  for end in ("csv", "jsonl", "parquet"):
    (tmp_path / end).mkdir()
  (tmp_path / "csv/items.csv").write_text(
    "item_id,tags,price\n00123,a|b,2.5\n7,,\n"
  )
  (tmp_path / "csv/events.csv").write_text(
    "user_id,item_id,timestamp\n1,00123,1714521600\n"
  )
  (tmp_path / "jsonl/items.jsonl").write_text(
    '{"item_id": "00123", "tags": ["a", "b"], "price": 2.5}\n{"item_id": 7}\n'
  )
  (tmp_path / "jsonl/events.jsonl").write_text(
    '{"user_id": 1, "item_id": "00123", "timestamp": 1714521600}\n'
  )
  items = {"item_id": ["00123", "7"], "tags": [["a", "b"], []]}
  items["price"] = [2.5, None]
  pq.write_table(pa.table(items), tmp_path / "parquet/items.parquet")
  events = {"user_id": [1], "item_id": ["00123"]}
  events["timestamp"] = pa.array([1714521600_000], pa.timestamp("ms"))
  pq.write_table(pa.table(events), tmp_path / "parquet/events.parquet")
  expected = [
    Item("00123", tags=("a", "b"), numbers={"price": 2.5}),
    Item("7"),
    Event("1", "00123", 1714521600),
  ]
  for end in ("csv", "jsonl", "parquet"):
    folder = Folder(str(tmp_path / end))
    assert list(folder.read()) == expected
    assert [pathlib.Path(file).name for file in folder.files()] == [
      f"items.{end}",
      f"events.{end}",
    ]


@pytest.mark.parametrize(
  ("price", "reason"),
  [
    ('"1,234.50"', "not a number"),
    ("12 €", "not a number"),
    ("nan", "not finite"),
    ("inf", "not finite"),
    ("1e308", "too large"),
    ("-3", "negative"),
  ],
)
def test_an_item_goes_without_a_bad_price(shop, price, reason):
  good, refused = shop(items_csv=f"item_id,title,price\n1,Lamp,{price}\n")
  assert good == [Item("1", title="Lamp")]
  assert refused == [("items.csv:2", "price", reason)]


def test_an_event_with_a_bad_field_is_refused_whole(shop):
  good, refused = shop(
    events_csv=(
      "user_id,item_id,timestamp,rating\n"
      "1,,5,1\n"
      ",1,5,1\n"
      "1,1,soon,1\n"
      "1,1,5,good\n"
      "1,1,964980499000,1\n"
      "1,1,5,1\n"
    )
  )
  assert good == [Event("1", "1", 5, 1.0)]
  assert [(where, field) for where, field, _ in refused] == [
    ("events.csv:2", "item_id"),
    ("events.csv:3", "user_id"),
    ("events.csv:4", "timestamp"),
    ("events.csv:5", "rating"),
    ("events.csv:6", "timestamp"),
  ]
  assert "milliseconds" in refused[-1][2]


@pytest.mark.parametrize(
  "path", ["/etc/passwd", "../x.png", "a/../../x.png", "..\\x.png"]
)
def test_pictures_stay_inside_the_folder(shop, path):
  good, refused = shop(items_csv=f"item_id,image\n1,{path}\n")
  assert good == [Item("1")]
  assert refused == [("items.csv:2", "image", "outside the folder")]


def test_pictures_are_files_of_the_source_if_they_are_read(
  tmp_path, data_settings
):
  (tmp_path / "i").mkdir()
  for name in ("items.csv", "i/1.png", "i/2.png", "a.wav"):
    (tmp_path / name).touch()
  (tmp_path / "items.csv").write_text(
    "item_id,image,audio\n1,i/1.png,a.wav\n2,i/1.png,\n3,gone.png,\n4,..,\n"
  )

  def files(**changes) -> list[str]:
    source = Folder.from_settings(
      data_settings(folder=str(tmp_path), **changes)
    )
    return [str(pathlib.Path(f).relative_to(tmp_path)) for f in source.files()]

  assert files() == ["items.csv"]
  everything = ["items.csv", "a.wav", "i/1.png"]
  assert files(image_size=8) == files(audio_seconds=1.0) == everything


def test_places_are_cells(shop, tmp_path):
  tables = {
    "items_csv": "item_id,latitude,longitude\n1,52.5,13.4\n2,91,0\n3,,\n",
    "people_csv": "user_id,latitude,longitude,city\n1,52.5,13.4,B\n2,1,,\n",
    "events_csv": (
      "user_id,item_id,latitude,longitude,context_device\n"
      "1,1,52.5,13.4,tv\n1,1,,,\n1,1,5,,\n1,1,0,180.5,\n1,1,x,1,\n"
    ),
  }
  good, refused = shop(**tables)
  # Nobody asked for places: they are not read, and no classes either.
  assert not refused
  assert good[3:6] == [
    Person("1", {"city": "B"}),
    Person("2"),
    Event("1", "1", categories={"device": "tv"}),
  ]
  berlin = places.cells(52.5, 13.4, (5.0, 500.0))
  assert [*berlin] == ["place_5km", "place_500km"]
  read = [*Folder(str(tmp_path), place_km=(5.0, 500.0)).read()]
  good = [r for r in read if not isinstance(r, Rejection)]
  assert good == [
    Item("1", categories=berlin),
    Item("2"),
    Item("3"),
    Person("1", {"city": "B"} | berlin),
    Person("2"),
    Event("1", "1", categories={"device": "tv"} | berlin),
    Event("1", "1"),
  ]
  assert [
    (r.line, r.field, r.reason) for r in read if isinstance(r, Rejection)
  ] == [
    (3, "latitude", "not in -90 to 90 degrees"),
    (3, "longitude", "missing"),
    (4, "longitude", "missing"),
    (5, "longitude", "not in -180 to 180 degrees"),
    (6, "latitude", "not a number"),
  ]
  new = tmp_path / "items.csv"
  assert next(iter(read_items(str(new), (5.0,)))).categories == {
    "place_5km": berlin["place_5km"]
  }


def test_strange_json_values(shop):
  good, refused = shop(
    items_jsonl=(
      '{"item_id": "1", "title": 5, "tags": {"a": 1}, "price": [1]}\n'
      '{"item_id": 1.5}\n'
      '{"item_id": "2", "image": "a\\u0000b", "category_x": [[]]}\n'
    )
  )
  assert good == [Item("1"), Item("2")]
  assert refused == [
    ("items.jsonl:1", "title", "not text"),
    ("items.jsonl:1", "tags", "not tags"),
    ("items.jsonl:1", "price", "not a number"),
    ("items.jsonl:2", "item_id", "not an id"),
    ("items.jsonl:3", "category_x", "not a category"),
    ("items.jsonl:3", "image", "not a path"),
  ]


def test_columns(shop):
  with pytest.raises(UserError, match=r"'item_id'.*Fix"):
    shop(items_csv="id,title\n1,a\n")
  with pytest.raises(UserError, match=r"'TITLE' is not known.*'title'"):
    shop(items_csv="item_id,TITLE\n1,a\n")
  with pytest.raises(UserError, match="column 'time_stamp' is not known"):
    shop(items_csv="item_id\n1\n", events_csv="user_id,time_stamp\n1,2\n")


def test_which_tables(shop, tmp_path):
  with pytest.raises(UserError, match="holds no table, expected events or"):
    shop(people_csv="user_id\n1\n")
  with pytest.raises(UserError, match=r"items\.csv and items\.jsonl"):
    shop(items_csv="item_id\n1\n", items_jsonl="")
  with pytest.raises(UserError, match="holds no table"):
    Folder(str(tmp_path / "missing")).files()


def test_from_settings(tmp_path, data_settings):
  source = Folder.from_settings(data_settings(folder=str(tmp_path)))
  assert source == Folder(str(tmp_path))
  assert source.name == tmp_path.name


cells = st.lists(
  st.sampled_from(
    ["1", "", "a|b", "-5", "1e9", "2024-01-01", "nan", "x" * 70, "\0", '"']
  ),
  min_size=3,
  max_size=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(cells, max_size=5), st.binary(max_size=50))
def test_reading_ends_in_records_or_rejections(tmp_path, rows, tail):
  lines = "\n".join(",".join(row) for row in rows).encode() + b"\n" + tail
  header = b"item_id,price,tags\n", b"user_id,item_id,timestamp\n"
  (tmp_path / "items.csv").write_bytes(header[0] + lines)
  (tmp_path / "events.csv").write_bytes(header[1] + lines)
  for record in Folder(str(tmp_path)).read():
    assert dataclasses.is_dataclass(record)
    if isinstance(record, Rejection):
      assert record.reason
      assert record.line > 1
      assert len(record.found) <= 60
