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
from tagrec_jax.data.dataset import NO_TIME, Dataset, Interactions, Questions
from tagrec_jax.data.encodings import Encoding
from tagrec_jax.data.fingerprint import fingerprint
from tagrec_jax.data.lists import Lists
from tagrec_jax.data.spec import Feature, Kind, Part, Spec
from tagrec_jax.data.vocab import Vocabulary
from tests.data.made import lists_of_tags

# Every kind of feature, values that are easily lost, and people with no
# events, with training only, and with several questions.
ODD_NAME = "lengths_brand/färbe .\n"
FEATURES = (
  Feature("tags", Part.PRODUCT, Kind.ID_SET, 2, 3),
  Feature("numbers", Part.PRODUCT, Kind.NUMBER, 0, 2),
  Feature(ODD_NAME, Part.PRODUCT, Kind.CATEGORY, 2),
  Feature("text", Part.PRODUCT, Kind.TEXT, 9, 2),
  Feature("ngrams", Part.PRODUCT, Kind.NGRAMS, 9, 1),
  Feature("image", Part.PRODUCT, Kind.IMAGE, 0, 2),
  Feature("audio", Part.PRODUCT, Kind.AUDIO, 0, 3),
  Feature("pretrained", Part.PRODUCT, Kind.VECTOR, 0, 2),
  Feature("text", Part.TAG, Kind.TEXT, 9, 2),
  Feature("gender", Part.PERSON, Kind.CATEGORY, 2),
  Feature("hour", Part.MOMENT, Kind.CATEGORY, 24),
  Feature(ODD_NAME, Part.MOMENT, Kind.CATEGORY, 3),
)


def small() -> Dataset:
  numbers = np.array([[np.nan, -0.0], [1e-38, 5.0], [0, 1]], np.float32)
  dataset = Dataset(
    name="small",
    fingerprint="",
    spec=Spec(2, 2, FEATURES, 1, 1),
    items=Vocabulary(["00123", "\udc80"]),
    tags=Vocabulary(["blau", "grün"]),
    people=Vocabulary(["p0", "p1", "p2", "p3"]),
    titles=("", "雨\n🙂", "new"),
    events=Interactions(
      np.array([0, 4, 4, 5, 8], np.int64),
      np.array([0, 1, -1, 0, 1, 1, 0, 2], np.int32),
      np.array([NO_TIME, 0, 2**53 + 1, 2**62, -5, 1, 1, 2], np.int64),
      Lists.of(
        np.array([0, 2, 1, 1, 0], np.int32), np.array([2, 0, 1, 0, 0, 0, 1, 1])
      ),
      {ODD_NAME: np.array([0, -1, 2, 1, 0, 0, 1, 2], np.int32)},
    ),
    train_ends=np.array([1, 4, 5, 7], np.int64),
    valid=Questions(np.array([0, 0], np.int32), np.array([1, 2], np.int64)),
    test=Questions(np.array([0, 3], np.int32), np.array([3, 7], np.int64)),
    product={
      "tags": np.array([[0, 1, -1], [-1, -1, -1], [1, 2, -1]], np.int32),
      "numbers": numbers,
      ODD_NAME: np.array([1, -1, 0], np.int32),
      "text": np.array([[8, -1], [-1, -1], [0, 1]], np.int32),
      "ngrams": np.array([[-1], [8], [0]], np.int32),
      "image": np.arange(36, dtype=np.uint8).reshape(3, 2, 2, 3),
      "audio": np.array([[-32768] * 3, [0, 1, 32767], [-1, 0, 0]], np.int16),
      "pretrained": numbers[::-1],
    },
    person={"gender": np.array([0, 1, -1, 0], np.int32)},
    new_items=Vocabulary(["00122"]),
    new_tags=Vocabulary(["a tag\u2028"]),
    test_items=np.array([2], np.int32),
    tag={"text": np.array([[0, -1], [1, 2], [-1, -1]], np.int32)},
    counts={"duplicates": 3},
    encodings=(
      Encoding(
        FEATURES[1], Vocabulary(["price", "year"]), (0.1, 1 / 3), (1e-9, 2.0)
      ),
      Encoding(
        Feature("ngrams", Part.PRODUCT, Kind.NGRAMS, 3, 2),
        ngrams=np.array([0, 2**32 - 1], np.uint32),
        weights=np.array([1e-38, 1 / 3, 0], np.float32),
      ),
      Encoding(
        Feature("tokens", Part.TAG, Kind.TEXT, 3, 2),
        tokenizer='{"雨": "\r\n"}',
      ),
    ),
  )
  return dataclasses.replace(dataset, fingerprint=fingerprint(dataset))


def assert_same(a, b) -> None:
  """Equal to the last bit, with types."""
  if isinstance(a, np.ndarray):
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    assert a.tobytes() == b.tobytes()
  elif isinstance(a, dict):
    assert a.keys() == b.keys()
    for key in a:
      assert_same(a[key], b[key])
  elif isinstance(a, tuple) and a and isinstance(a[0], Encoding):
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
      assert_same(one, other)
  elif isinstance(a, Dataset | Interactions | Questions | Encoding | Lists):
    assert type(a) is type(b)
    for field in dataclasses.fields(a):
      assert_same(getattr(a, field.name), getattr(b, field.name))
  else:
    assert type(a) is type(b)
    assert a == b


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


def files_of(folder: pathlib.Path) -> list[pathlib.Path]:
  return sorted(path for path in folder.rglob("*") if path.is_file())


def damages():
  def flip(path: pathlib.Path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

  def truncate(path: pathlib.Path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

  def empty(path: pathlib.Path):
    path.write_bytes(b"")

  return [flip, truncate, empty, pathlib.Path.unlink]


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
from tests_data_test_store import small, store, StorageError
"""


def run_alone(program: str, tmp_path: pathlib.Path):
  # Under a name of its own, as tests are no package.
  shutil.copy(__file__, tmp_path / "tests_data_test_store.py")
  return subprocess.run(
    [sys.executable, "-c", ALONE + textwrap.dedent(program)],
    cwd=pathlib.Path(__file__).parents[2],
    env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}."},
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
    """,
    tmp_path,
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
    """,
    tmp_path,
  )
  assert done.stderr == ""
  assert "cannot be written (" in done.stdout
  assert len(done.stdout.splitlines()) == 1
  assert [path.name for path in tmp_path.iterdir()] == [
    "tests_data_test_store.py"
  ]
