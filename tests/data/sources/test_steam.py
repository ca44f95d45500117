from __future__ import annotations

import collections

import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.data.records import Event, Item, Rejection
from tagrec_jax.data.sources.steam import Steam, series


@pytest.fixture
def write(tmp_path):
  def write(games: str, events: str = "") -> Steam:
    (tmp_path / "items.jsonl").write_text(games)
    header = "user_id,item_id,timestamp,rating\n"
    (tmp_path / "events.csv").write_text(header + events)
    return Steam(str(tmp_path))

  return write


def test_by_hand(write):
  source = write(
    '{"id": "00123", "title": "FlatOut 2™", "brand": "Bugbear", "publisher":'
    ' "Strategy First", "price": 9.99, "release_date": "2006-08-01", "genres":'
    ' ["Racing"], "specs": ["Single-player"], "early_access": true, "tags":'
    ' ["Racing", "Physics"], "metascore": 76, "sentiment": "Mixed"}\n'
    '{"id": "7", "title": "2048"}\n'
    '{"id": "8", "price": -1, "release_date": "soon", "tags": null}\n'
    '{"title": "without"}\n',
    "007,00123,1443398400,1\n007,7,,0\n007,,1,1\n",
  )
  records = list(source.read())
  assert [r for r in records if not isinstance(r, Rejection)] == [
    Item(
      "00123",
      title="FlatOut 2™",
      tags=("Racing", "Physics"),
      numbers={"price": 9.99, "metascore": 76.0, "year": 2006.0},
      categories={"brand": "Bugbear", "publisher": "Strategy First"},
      sets={"specs": ("Single-player",)},
      group="flatout of Bugbear",
    ),
    Item("7", title="2048", group="2048 of "),
    Item("8", group="8"),
    Event("007", "00123", 1443398400, 1.0),
    Event("007", "7", None, 0.0),
  ]
  assert [(r.field, r.reason) for r in records if isinstance(r, Rejection)] == [
    ("release_date", "not a time"),
    ("price", "negative"),
    ("id", "missing"),
    ("item_id", "missing"),
  ]


@pytest.mark.parametrize(
  ("title", "begin"),
  [
    ("FlatOut", "flatout"),
    ("FlatOut 3: Chaos & Destruction", "flatout"),
    ("Train Simulator: Soldier Summit Route Add-On", "train simulator"),
    ("Rocksmith® 2014 Edition – Remastered – The Police", "rocksmith"),
    ("Might and Magic IX", "might and magic"),
    ("X-COM", "x com"),
    ("三国志 13", "三 国 志"),
    ("2048", "2048"),
    ("", ""),
    (": !", ""),
  ],
)
def test_series(title, begin):
  assert series(title) == begin


def test_missing_files(tmp_path, data_settings):
  settings = data_settings(folder=str(tmp_path))
  with pytest.raises(UserError, match=r"items\.jsonl \+ events\.csv"):
    Steam.from_settings(settings).files()


def test_the_store(data_folder, unchecked_types):
  source = Steam(str(data_folder / "steam"))
  items, events = [], []
  for record in source.read():
    assert not isinstance(record, Rejection)
    (items if isinstance(record, Item) else events).append(record)
  assert len(items) == 31_969
  assert len(events) == 43_939
  assert len({tag for item in items for tag in item.tags}) == 339
  assert sum("price" in item.numbers for item in items) == 30_621
  groups = collections.Counter(item.group for item in items)
  assert len(groups) == 20_388
  assert groups["rocksmith of Ubisoft - San Francisco"] > 1000
  # What would be the answer is not among what is given.
  given = {name for item in items for name in (*item.categories, *item.sets)}
  assert given == {"brand", "publisher", "specs"}
