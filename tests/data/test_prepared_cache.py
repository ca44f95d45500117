"""What is prepared is kept, and found again only where it is right."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
from collections.abc import Callable

import pytest

import tagrec_jax.data.prepare as prepare_module
from tagrec_jax.core.errors import StorageError, UserError
from tagrec_jax.core.settings import DataSettings
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.prepare import (
  from_cleaned,
  open_or_prepare,
  prepare,
)
from tagrec_jax.data.records import Event


@dataclasses.dataclass
class Lines:
  """A source that keeps one event a line in a file, for caching."""

  path: pathlib.Path
  name: str = "lines"

  def files(self) -> list[str]:
    return [str(self.path)]

  def read(self):
    for line in self.path.read_text().splitlines():
      person, item, time = line.split()
      yield Event(person, item, int(time))


@dataclasses.dataclass
class Made:
  """A source without files."""

  items: int
  name: str = "made"

  def files(self) -> list[str]:
    return []

  def read(self):
    yield from (Event("p", str(item), item) for item in range(self.items))


@pytest.fixture
def lines(tmp_path) -> Lines:
  source = Lines(tmp_path / "lines.txt")
  source.path.write_text("p a 1\np b 2\np a 3\np b 4\n")
  return source


@pytest.fixture
def kept(tmp_path, data_settings) -> Callable[..., DataSettings]:
  """Settings with a cache of this test's own."""
  cache = str(tmp_path / "cache")
  return lambda **changes: data_settings(cache_dir=cache, **changes)


def prepared_folders(tmp_path) -> list[pathlib.Path]:
  return sorted((tmp_path / "cache" / "prepared" / "lines").iterdir())


def test_is_prepared_once(lines, kept, tmp_path):
  said: list[str] = []
  first = open_or_prepare(lines, kept(), log=said.append)
  again = open_or_prepare(lines, kept(), log=said.append)
  assert first.fingerprint == again.fingerprint
  (folder,) = prepared_folders(tmp_path)
  assert said == [
    f"{verb} lines: 1 people, 2 products, 4 events"
    f" (counted: 2 item known only from events) in {folder}"
    for verb in ("prepared", "found")
  ]


def test_says_what_it_does_on_stderr(lines, kept, capsys):
  open_or_prepare(lines, kept())
  out, err = capsys.readouterr()
  assert out == ""
  assert len(err.splitlines()) == 1


def test_says_how_far_it_is_if_reading_takes_long(kept, capsys, monkeypatch):
  monkeypatch.setattr(prepare_module, "QUIET_SECONDS", 0.0)
  prepare(Made(3000), kept())
  *lines, last = capsys.readouterr().err.splitlines()
  for line, count in zip(lines, ("1,000", "2,000", "3,000"), strict=True):
    assert re.fullmatch(f"made: {count} records read, [0-9,]+ a second", line)
  assert last == "made: all 3,000 records read, now cleaned and encoded"


def test_is_prepared_anew_when_something_changes(lines, kept, tmp_path):
  first = open_or_prepare(lines, kept())
  open_or_prepare(lines, kept(min_item_events=2))
  assert len(prepared_folders(tmp_path)) == 2
  lines.path.write_text(lines.path.read_text() + "p a 5\n")
  changed = open_or_prepare(lines, kept())
  assert len(prepared_folders(tmp_path)) == 3
  assert len(changed.events.items) == len(first.events.items) + 1


def test_where_the_files_are_and_the_made_up_shop_do_not_matter(
  lines, kept, tmp_path
):
  open_or_prepare(lines, kept())
  moved = tmp_path / "elsewhere" / lines.path.name
  moved.parent.mkdir()
  lines.path.rename(moved)
  said: list[str] = []
  open_or_prepare(
    Lines(moved),
    kept(folder=str(moved.parent), shop_items=900),
    log=said.append,
  )
  assert said[0].startswith("found")


def test_data_that_is_made_is_known_by_how(kept, tmp_path):
  for items in (4, 5, 4):
    dataset = open_or_prepare(Made(items), kept())
    assert len(dataset.events.items) == items
  assert len(list((tmp_path / "cache" / "prepared" / "made").iterdir())) == 2


def test_files_that_are_not_there(lines, kept):
  lines.path.unlink()
  with pytest.raises(UserError, match=r"lines.txt: cannot be read \(No such"):
    open_or_prepare(lines, kept())


def test_damaged_data_is_not_replaced_in_silence(lines, kept, tmp_path):
  open_or_prepare(lines, kept())
  (folder,) = prepared_folders(tmp_path)
  manifest = folder / "dataset.json"
  manifest.write_text(json.dumps({}))
  with pytest.raises(StorageError, match="Fix: delete the folder"):
    open_or_prepare(lines, kept())
  assert manifest.read_text() == "{}"


def test_another_process_may_be_quicker(lines, kept, tmp_path, monkeypatch):
  def make_while_another_does(name, cleaned, checked):
    monkeypatch.undo()
    others.append(open_or_prepare(lines, checked))
    return from_cleaned(name, cleaned, checked)

  others: list[Dataset] = []
  monkeypatch.setattr(prepare_module, "from_cleaned", make_while_another_does)
  dataset = open_or_prepare(lines, kept())
  assert [other.fingerprint for other in others] == [dataset.fingerprint]
  assert len(prepared_folders(tmp_path)) == 1
