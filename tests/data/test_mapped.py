"""Large columns lie in files that are mapped, and are as good as others."""

from __future__ import annotations

import dataclasses
import mmap
import pathlib
import shutil

import numpy as np
import pytest

from tagrec_jax.core.errors import StorageError
from tagrec_jax.data import store
from tagrec_jax.data.fingerprint import fingerprint
from tagrec_jax.data.vocab import SortedIds, Vocabulary
from tests.data.stored import assert_same, damages, files_of, make_mapped, small


@pytest.fixture
def copy(tmp_path) -> pathlib.Path:
  store.write(small(), tmp_path / "copy")
  return tmp_path / "copy"


def is_mapped(array: np.ndarray) -> bool:
  while isinstance(array, np.ndarray):
    array = array.base
  return isinstance(array, mmap.mmap)


def test_large_columns_are_mapped(tmp_path, monkeypatch):
  make_mapped(monkeypatch)
  folder = tmp_path / "data"
  store.write(small(), folder)
  assert not (folder / "mapped").exists()
  for _ in range(2):  # the first makes the files, the second finds them
    read = store.read(folder)
    assert_same(read, small())
    events = read.events
    for array in (
      *(events.offsets, events.items, events.times, read.train_ends),
      *(events.posted.values, events.posted.offsets),
      *(*events.moment.values(), *read.person.values()),
      *(read.valid.people, read.valid.events, read.test.events),
    ):
      assert is_mapped(array)
      assert not array.flags.writeable
  assert isinstance(read.people.ids, SortedIds)
  assert read.people.indices(["p3", "p", "p0", "q"]).tolist() == [3, -1, 0, -1]
  assert "p1" in read.people
  assert "p" not in read.people
  assert read.people.ids[-2:] == ("p2", "p3")


def test_people_in_any_order_are_found(tmp_path, monkeypatch):
  make_mapped(monkeypatch, 2)
  dataset = dataclasses.replace(
    small(), people=Vocabulary(["b", "\udc80", "", "a"])
  )
  dataset = dataclasses.replace(dataset, fingerprint=fingerprint(dataset))
  store.write(dataset, tmp_path / "data")
  read = store.read(tmp_path / "data")
  assert_same(read, dataset)
  assert read.people.index("a") == 3


def test_every_damaged_mapped_file_is_named(copy, monkeypatch):
  make_mapped(monkeypatch)
  store.read(copy)
  files = [p for p in files_of(copy / "mapped") if p.name != "SHA256SUMS"]
  assert len(files) == 15
  for damage in damages():
    for path in files:
      content = path.read_bytes()
      damage(path)
      with pytest.raises(StorageError) as caught:
        store.read(copy)
      assert str(caught.value).startswith(str(path))
      assert str(caught.value).endswith("it will be made again")
      path.write_bytes(content)
  shutil.rmtree(copy / "mapped")
  assert_same(store.read(copy), small())


def test_mapped_columns_of_other_shards(copy, tmp_path, monkeypatch):
  make_mapped(monkeypatch)
  store.read(copy)
  other = dataclasses.replace(small(), name="other")
  other.events.items[0] = 1
  other = dataclasses.replace(other, fingerprint=fingerprint(other))
  store.write(other, tmp_path / "other")
  shutil.copytree(copy / "mapped", tmp_path / "other" / "mapped")
  with pytest.raises(StorageError, match="other: fingerprint"):
    store.read(tmp_path / "other")


def test_mapped_columns_appear_complete(copy, monkeypatch):
  from tagrec_jax.data import mapped

  make_mapped(monkeypatch)
  bring = mapped.write_columns

  def second(folder, parts):
    bring(folder, parts := list(parts))  # another process was quicker
    bring(folder, parts)

  monkeypatch.setattr(mapped, "write_columns", second)
  assert_same(store.read(copy), small())
  assert not list(copy.glob("*incomplete*"))
  shutil.rmtree(copy / "mapped")
  (copy / "mapped").touch()
  with pytest.raises(StorageError, match=r"copy.mapped.* cannot be read"):
    store.read(copy)
