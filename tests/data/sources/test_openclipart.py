from __future__ import annotations

import collections
import os

import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.data.records import Item, Rejection
from tagrec_jax.data.sources.openclipart import OpenClipart


def test_by_hand(tmp_path, data_settings):
  (tmp_path / "images").mkdir()
  (tmp_path / "images" / "1.png").touch()
  (tmp_path / "items.jsonl").write_text(
    '{"id": "animals/bugs/1", "title": "2 Frogs 07", "description": "Green.",'
    ' "brand": "Ann", "category": "animals/bugs", "image": "images/1.png",'
    ' "tags": ["frog", "animal"], "split": "valid"}\n'
    '{"id": "2", "title": "frogs", "brand": "Ann", "image": "images/2.png"}\n'
    '{"id": "3", "title": "12", "image": "../../etc/passwd"}\n'
  )
  settings = data_settings(folder=str(tmp_path))
  first, second, third, rejection = OpenClipart.from_settings(settings).read()
  assert first == Item(
    "animals/bugs/1",
    title="2 Frogs 07",
    description="Green.",
    tags=("frog", "animal"),
    categories={"brand": "Ann", "category": "animals/bugs", "shelf": "animals"},
    image=str(tmp_path / "images" / "1.png"),
    group="frogs by Ann",
  )
  assert second.group == first.group
  assert third == Item("3", title="12", group="3")
  assert isinstance(rejection, Rejection)
  assert (rejection.field, rejection.reason) == ("image", "outside the folder")
  # Pictures that are there are files of the source, if they are read.
  table = str(tmp_path / "items.jsonl")
  assert OpenClipart.from_settings(settings).files() == [table]
  settings = data_settings(folder=str(tmp_path), image_size=32)
  assert OpenClipart.from_settings(settings).files() == [table, first.image]


def test_missing_files(tmp_path):
  with pytest.raises(UserError, match=r"items\.jsonl.*Fix"):
    OpenClipart(str(tmp_path)).files()


def test_the_library(data_folder, unchecked_types):
  source = OpenClipart(str(data_folder / "openclipart"), media=True)
  items = list(source.read())
  assert len(items) == 5_181
  assert all(os.path.isfile(item.image) and item.tags for item in items)
  assert len(source.files()) == 5_182
  assert len({tag for item in items for tag in item.tags}) == 1_893
  groups = collections.Counter(item.group for item in items)
  assert len(groups) == 2_485
  assert (
    groups["part of the flat icon collection wed aug by Danny Allen"] == 815
  )
