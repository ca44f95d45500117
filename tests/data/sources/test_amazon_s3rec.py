from __future__ import annotations

import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.data.records import Event, Item, Rejection
from tagrec_jax.data.sources.amazon_s3rec import S3Rec


@pytest.fixture
def write(tmp_path):
  def write(sequences: str | bytes, attributes: str = "{}") -> S3Rec:
    raw = sequences.encode() if isinstance(sequences, str) else sequences
    (tmp_path / "Toy.txt").write_bytes(raw)
    (tmp_path / "Toy_item2attributes.json").write_text(attributes)
    return S3Rec(str(tmp_path), "Toy")

  return write


def test_by_hand(write):
  source = write("1 5 6 5\n2 6\n", '{"5": [3, 1, 3], "6": []}')
  assert list(source.read()) == [
    Item("5", tags=("attr_3", "attr_1")),
    Item("6"),
    Event("1", "5"),
    Event("1", "6"),
    Event("1", "5"),
    Event("2", "6"),
  ]


def test_lines_that_cannot_be_used(write):
  records = list(write(b"1 5\n2\n3 \xff\n\n4 6\n").read())
  rejections = [(r.line, r.reason) for r in records if isinstance(r, Rejection)]
  assert rejections == [(2, "a person without items"), (3, "not UTF-8")]
  assert [r for r in records if isinstance(r, Event)] == [
    Event("1", "5"),
    Event("4", "6"),
  ]


@pytest.mark.parametrize(
  "attributes", ["", "[1]", '{"5": 1}', '{"5": ["x"]}', "[" * 100_000]
)
def test_attributes_that_cannot_be_read(write, attributes):
  with pytest.raises(UserError, match=r"Toy_item2attributes\.json: not read"):
    list(write("1 5\n", attributes).read())


def test_missing_files_say_where_they_come_from(tmp_path, data_settings):
  with pytest.raises(UserError, match="RUCAIBox/CIKM2020-S3Rec on GitHub"):
    list(S3Rec(str(tmp_path), "Beauty").read())
  with pytest.raises(UserError, match=r"holds no data set.*RUCAIBox"):
    S3Rec.from_settings(data_settings(folder=str(tmp_path)))


def test_the_name_is_told_by_the_folder(write, tmp_path, data_settings):
  source = write("1 5\n")
  settings = data_settings(folder=str(tmp_path))
  assert S3Rec.from_settings(settings) == source
  (tmp_path / "B_item2attributes.json").write_text("{}")
  with pytest.raises(UserError, match="holds B, Toy"):
    S3Rec.from_settings(settings)


def test_beauty(data_folder, unchecked_types):
  source = S3Rec(str(data_folder / "amazon_beauty"), "Beauty")
  items = {r.id: r for r in source.read() if isinstance(r, Item)}
  assert len(items) == 12_101
  assert items["4"].tags == ("attr_1", "attr_2", "attr_3")
