from __future__ import annotations

import collections
import hashlib
import pathlib
import subprocess
import zipfile

import pytest

from tagrec_jax.core.errors import StorageError, UserError
from tagrec_jax.data.records import Event, Item, Person, Rejection
from tagrec_jax.data.sources import recbole_wheel
from tagrec_jax.data.sources.movielens_100k import MovieLens100K

RECBOLE = {
  "ml-100k.item": (
    "item_id:token\tmovie_title:token_seq\trelease_year:token\t"
    "class:token_seq\n"
    "1\tToy Story\t1995\tAnimation Children's Comedy\n"
    "267\tunkonwn\tunkonwn\tunknown\n"
    "1412\tLand Before Time III (1995)\tV\tAnimation\n"
  ),
  "ml-100k.user": (
    "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
    "1\t24\tM\ttechnician\t85711\n"
    "2\t17\tF\tother\tV1Z2A\n"
  ),
  "ml-100k.inter": (
    "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    "1\t267\t3\t881250949\n2\t1\t5\t891717742\n"
  ),
}
FLAGS = "0|0|0|{}|{}|{}" + "|0" * 13
GROUPLENS = {
  "u.item": (
    f"1|Toy Story (1995)|01-Jan-1995||http://x|{FLAGS.format(1, 1, 1)}\n"
    f"267|unknown||||1{FLAGS.format(0, 0, 0)[1:]}\n"
    f"1412|Land Before Time III (1995) (V)|x||y|{FLAGS.format(1, 0, 0)}\n"
  ),
  "u.user": "1|24|M|technician|85711\n2|17|F|other|V1Z2A\n",
  "u.data": "1\t267\t3\t881250949\n2\t1\t5\t891717742\n",
}
EXPECTED = [
  Item(
    "1",
    title="Toy Story",
    tags=("Animation", "Children's", "Comedy"),
    numbers={"year": 1995.0},
  ),
  Item("267"),
  Item(
    "1412",
    title="Land Before Time III",
    tags=("Animation",),
    numbers={"year": 1995.0},
  ),
  Person(
    "1",
    {
      "age_group": "18-24",
      "gender": "M",
      "occupation": "technician",
      "region": "8",
    },
  ),
  Person(
    "2",
    {
      "age_group": "under 18",
      "gender": "F",
      "occupation": "other",
      "region": "abroad",
    },
  ),
  Event("1", "267", 881250949, 3.0),
  Event("2", "1", 891717742, 5.0),
]


def write(folder: pathlib.Path, files: dict[str, str]) -> None:
  for name, text in files.items():
    (folder / name).write_text(text, encoding="latin-1")


@pytest.mark.parametrize("files", [RECBOLE, GROUPLENS])
def test_both_layouts_say_the_same(tmp_path, files, data_settings):
  write(tmp_path, files)
  source = MovieLens100K.from_settings(data_settings(folder=str(tmp_path)))
  assert list(source.read()) == EXPECTED
  assert {pathlib.Path(file).name for file in source.files()} == set(files)


def test_bad_rows(tmp_path):
  write(tmp_path, GROUPLENS)
  (tmp_path / "u.data").write_text("1\t267\t3\n1\t1\tx\t5\n1\t1\t3\t-5\n")
  (tmp_path / "u.user").write_text("1|old|M|writer|1\n")
  rejected = [
    (pathlib.Path(r.file).name, r.line, r.field, r.reason)
    for r in MovieLens100K(str(tmp_path)).read()
    if isinstance(r, Rejection)
  ]
  assert rejected == [
    ("u.user", 1, "age", "not a number"),
    ("u.data", 1, "", "too few columns"),
    ("u.data", 2, "rating", "not a number"),
    ("u.data", 3, "timestamp", "before 1970"),
  ]


def test_a_folder_without_the_files(tmp_path):
  with pytest.raises(UserError, match=r"ml-100k\.item \+ .* or u\.item \+ u"):
    MovieLens100K(str(tmp_path)).files()
  with pytest.raises(UserError, match="is not a folder"):
    MovieLens100K(str(tmp_path / "missing")).files()


@pytest.fixture
def pip(monkeypatch):
  """Stands in for pip: gives a wheel of these files, counts its calls."""
  calls = []

  def offer(files: dict[str, str], known: bool = True):
    def run(command, **_):
      calls.append(command)
      folder = pathlib.Path(command[command.index("--dest") + 1])
      wheel = folder / "recbole-1.2.1-py3-none-any.whl"
      with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
          archive.writestr(name, text)
      if known:
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        monkeypatch.setattr(recbole_wheel, "_SHA256", digest)
      return subprocess.CompletedProcess(command, 0, "", "WARNING: old pip\n")

    monkeypatch.setattr(recbole_wheel.subprocess, "run", run)
    return calls

  return offer


def wheel_files() -> dict[str, str]:
  inside = "recbole/dataset_example/ml-100k/"
  files = {inside + name: text for name, text in RECBOLE.items()}
  return files | {"../../canary": "x", "recbole/__init__.py": "1/0"}


def test_downloaded_once(tmp_path, pip):
  calls = pip(wheel_files())
  source = MovieLens100K(cache_dir=str(tmp_path / "a" / "cache"))
  assert list(source.read()) == EXPECTED
  assert list(source.read()) == EXPECTED
  (command,) = calls
  assert "--only-binary=:all:" in command
  folder = tmp_path / "a/cache/downloads/ml-100k"
  left = {path for path in tmp_path.rglob("*") if path.is_file()}
  assert left == {folder / name for name in RECBOLE}


def test_another_wheel_is_refused(tmp_path, pip):
  pip(wheel_files(), known=False)
  with pytest.raises(StorageError, match="sha256"):
    MovieLens100K(cache_dir=str(tmp_path)).files()
  assert not list((tmp_path / "downloads").iterdir())


def test_no_network_says_what_to_do_by_hand(tmp_path, monkeypatch):
  def run(command, **_):
    errors = "WARNING: retry\nERROR: No matching distribution found\n"
    return subprocess.CompletedProcess(command, 1, "", errors)

  monkeypatch.setattr(recbole_wheel.subprocess, "run", run)
  with pytest.raises(StorageError) as caught:
    MovieLens100K(cache_dir=str(tmp_path)).files()
  assert "No matching distribution found" in str(caught.value)
  assert "config.data.folder" in str(caught.value)
  assert "\n" not in str(caught.value)


def test_a_cache_that_cannot_be_written(tmp_path):
  (tmp_path / "file").touch()
  with pytest.raises(StorageError, match=r"config\.data\.cache_dir"):
    MovieLens100K(cache_dir=str(tmp_path / "file")).files()


def test_the_second_of_two_downloads_is_dropped(tmp_path):
  first, second = tmp_path / "first", tmp_path / "second"
  for folder in (first, second):
    folder.mkdir()
    (folder / "file").write_text(folder.name)
  recbole_wheel._publish(str(second), str(first))
  assert (first / "file").read_text() == "first"


def test_the_real_one(tmp_path, unchecked_types):
  try:
    source = MovieLens100K(cache_dir=str(tmp_path))
    records = list(source.read())
  except StorageError as error:
    pytest.skip(str(error))
  assert collections.Counter(type(r) for r in records) == {
    Item: 1_682,
    Person: 943,
    Event: 100_000,
  }
  assert records[0] == EXPECTED[0]
  assert records[-1] == Event("12", "203", 879959583, 3.0)
  tags = {tag for r in records if isinstance(r, Item) for tag in r.tags}
  assert len(tags) == 18
