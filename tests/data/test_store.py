from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tagrec_jax.core.errors import StorageError
from tagrec_jax.data import store
from tagrec_jax.data.dataset import Interactions, Questions
from tagrec_jax.data.fingerprint import fingerprint
from tagrec_jax.data.spec import Spec
from tagrec_jax.data.vocab import Vocabulary
from tests.data.made import lists_of_tags
from tests.data.stored import (
  ODD_NAME,
  assert_same,
  damages,
  files_of,
  make_mapped,
  small,
)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> pathlib.Path:
  folder = tmp_path_factory.mktemp("store") / "small"
  store.write(small(), folder)
  return folder


@pytest.fixture
def copy(written, tmp_path) -> pathlib.Path:
  return pathlib.Path(shutil.copytree(written, tmp_path / "copy"))


def test_reads_what_was_written(written):
  assert_same(store.read(written), small())


def test_leaves_nothing_else(written):
  assert [path.name for path in written.parent.iterdir()] == ["small"]
  assert not list(written.rglob("*incomplete*"))
  assert not (written / "downloads").exists()


def test_can_be_moved(copy):
  assert_same(store.read(copy), small())


def test_is_ordinary_tfds(written):
  import tensorflow_datasets as tfds

  folder = written / "tagrec_prepared" / "catalogue" / "1.0.0"
  rows = tfds.builder_from_directory(folder).as_data_source("rows")
  (block,) = rows
  assert block["id"].tobytes() == b"00123\xed\xb2\x8000122"
  assert block["lengths_id"].tolist() == [5, 3, 5]
  assert block["product_tags"].tolist()[:2] == [[0, 1, -1], [-1, -1, -1]]


@settings(
  max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_histories(data, tmp_path_factory):
  lengths = data.draw(st.lists(st.integers(0, 4), max_size=5))
  offsets = np.cumsum([0, *lengths]).astype(np.int64)
  number = sum(lengths)
  row = st.tuples(st.integers(-1, 2), st.integers(-(2**63), 2**63 - 1))
  rows = data.draw(st.lists(row, min_size=number, max_size=number))
  events = Interactions(
    offsets,
    np.array([item for item, _ in rows], np.int32),
    np.array([time for _, time in rows], np.int64),
    data.draw(st.none() | lists_of_tags(number)),
    {ODD_NAME: np.arange(number, dtype=np.int32) % 3},
  )
  person_of = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
  asked = sorted(data.draw(st.sets(st.integers(0, max(0, number - 1)))))
  asked = np.array(asked[: number and None], np.int64)
  dataset = dataclasses.replace(
    small(),
    people=Vocabulary([f"p{i}" for i in range(len(lengths))]),
    events=events,
    train_ends=offsets[:-1],
    valid=Questions(person_of[asked], asked),
    test=Questions(person_of[:0], asked[:0]),
    person={"gender": np.zeros(len(lengths), np.int32)},
  )
  dataset = dataclasses.replace(dataset, fingerprint=fingerprint(dataset))
  store.write(dataset, folder := tmp_path_factory.mktemp("any") / "data")
  assert_same(store.read(folder), dataset)
  with pytest.MonkeyPatch.context() as patch:
    make_mapped(patch, data.draw(st.integers(1, 3)))
    assert_same(store.read(folder), dataset)


def test_no_people_no_tags_and_no_features(tmp_path):
  dataset = dataclasses.replace(
    small(),
    spec=Spec(3, 0, ()),
    items=Vocabulary(["b", "a", "c"]),  # not in the order of code points
    new_items=Vocabulary([]),
    tags=Vocabulary([]),
    new_tags=Vocabulary([]),
    people=Vocabulary([]),
    events=Interactions(
      np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64)
    ),
    train_ends=np.zeros(0, np.int64),
    valid=Questions(np.zeros(0, np.int32), np.zeros(0, np.int64)),
    test=Questions(np.zeros(0, np.int32), np.zeros(0, np.int64)),
    product={},
    person={},
    tag={},
    encodings=(),
  )
  dataset = dataclasses.replace(dataset, fingerprint=fingerprint(dataset))
  store.write(dataset, tmp_path / "data")
  assert_same(store.read(tmp_path / "data"), dataset)


def test_rows_larger_than_a_block(tmp_path, monkeypatch):
  from tagrec_jax.data import builder

  monkeypatch.setattr(builder, "BLOCK_BYTES", 1)
  store.write(small(), tmp_path / "data")
  monkeypatch.undo()
  assert_same(store.read(tmp_path / "data"), small())


def test_several_shards(tmp_path, monkeypatch):
  from tagrec_jax.data import builder

  monkeypatch.setattr(builder, "BLOCK_ROWS", 1)
  monkeypatch.setattr(builder, "SHARD_BLOCKS", 3)
  store.write(small(), tmp_path / "data")
  shards = sorted((tmp_path / "data").rglob("people/**/*array_record*"))
  assert [shard.name[-14:] for shard in shards] == [
    "00000-of-00002",
    "00001-of-00002",
  ]
  monkeypatch.undo()
  assert_same(store.read(tmp_path / "data"), small())


@pytest.mark.parametrize("damage", damages(), ids=lambda d: d.__name__)
def test_every_damaged_file_is_named(copy, damage):
  files = files_of(copy)
  assert len(files) == 15
  for path in files:
    content = path.read_bytes()
    damage(path)
    if path.name == "SHA256SUMS":  # of which a part may still be good
      with contextlib.suppress(StorageError):
        assert_same(store.read(copy), small())
    else:
      with pytest.raises(StorageError) as caught:
        store.read(copy)
      message = str(caught.value)
      assert message.startswith(str(path))
      assert "Fix: delete the folder" in message
      assert "\n" not in message
    path.write_bytes(content)
  assert_same(store.read(copy), small())


def test_a_folder_that_is_not_there(tmp_path):
  with pytest.raises(StorageError, match=r"nowhere.SHA256SUMS: cannot be read"):
    store.read(tmp_path / "nowhere")


def test_values_that_do_not_fit_the_fingerprint(tmp_path):
  wrong = dataclasses.replace(small(), counts={"duplicates": 4})
  store.write(wrong, tmp_path / "data")
  with pytest.raises(StorageError, match=r"data: fingerprint .* expected"):
    store.read(tmp_path / "data")


def test_another_layout(tmp_path, monkeypatch):
  store.write(small(), tmp_path / "data")
  monkeypatch.setattr(store, "VERSION", 99)
  with pytest.raises(StorageError, match="layout version 4, expected version"):
    store.read(tmp_path / "data")


def test_the_first_of_two_writers_wins(written):
  before = {path: path.stat().st_mtime_ns for path in files_of(written)}
  store.write(small(), written)
  assert {p: p.stat().st_mtime_ns for p in files_of(written)} == before
  assert [path.name for path in written.parent.iterdir()] == ["small"]


def test_never_overwrites_another_data_set(written):
  other = dataclasses.replace(small(), name="other")
  other = dataclasses.replace(other, fingerprint=fingerprint(other))
  with pytest.raises(StorageError, match="holds another data set"):
    store.write(other, written)
  assert_same(store.read(written), small())
  assert [path.name for path in written.parent.iterdir()] == ["small"]


def test_a_file_in_the_way(tmp_path):
  (tmp_path / "file").touch()
  with pytest.raises(StorageError, match="cannot be written"):
    store.write(small(), tmp_path / "file" / "data")


def test_removes_only_what_dead_processes_left(tmp_path):
  dead = subprocess.Popen([sys.executable, "-c", ""])
  dead.wait()
  host = socket.gethostname()
  abandoned = tmp_path / f"data.{host}.{dead.pid}.0a.incomplete"
  kept = [
    tmp_path / f"data.{host}.{os.getpid()}.0a.incomplete",
    tmp_path / f"data.elsewhere.{dead.pid}.0a.incomplete",
    tmp_path / f"data2.{host}.{dead.pid}.0a.incomplete",
    tmp_path / f"data.{host}.backup",
  ]
  for folder in (abandoned, *kept):
    (folder / "sub").mkdir(parents=True)
  store.write(small(), tmp_path / "data")
  assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "data", *kept])


# In a process of its own: sockets are closed to it, file sizes can be limited,
# and what it prints is all there is.
ALONE = """
import socket, sys
def refuse(*args, **kwargs):
  raise AssertionError("the network was tried")
socket.socket.connect = socket.getaddrinfo = refuse
from tagrec_jax.core.errors import StorageError
from tagrec_jax.data import store
from tests.data.stored import small
"""


def run_alone(program: str):
  return subprocess.run(
    [sys.executable, "-c", ALONE + textwrap.dedent(program)],
    cwd=pathlib.Path(__file__).parents[2],
    env=os.environ | {"PYTHONPATH": "."},
    capture_output=True,
    check=False,
    text=True,
    timeout=120,
  )


def test_is_silent_and_needs_neither_network_nor_tensorflow(tmp_path):
  done = run_alone(
    f"""
    store.write(small(), {str(tmp_path / "data")!r})
    store.read({str(tmp_path / "data")!r})
    assert "tensorflow" not in sys.modules
    """
  )
  assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_full_disk(tmp_path):
  done = run_alone(
    f"""
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    try:
      store.write(small(), {str(tmp_path / "data")!r})
    except StorageError as error:
      print(error)
    """
  )
  assert done.stderr == ""
  assert "cannot be written (" in done.stdout
  assert len(done.stdout.splitlines()) == 1
  assert not list(tmp_path.iterdir())
