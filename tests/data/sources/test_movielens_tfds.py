from __future__ import annotations

import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.structured import movielens

from tagrec_jax.core.errors import UserError
from tagrec_jax.data.records import Event, Item, Person
from tagrec_jax.data.sources import movielens_tfds
from tagrec_jax.data.sources.movielens_tfds import MovieLensTFDS

ROW = {
  "movie_title": "Toy Story (1995)",
  "movie_genres": ["Animation", "Comedy"],
  "user_rating": 4.0,
  "user_gender": False,
  "bucketized_user_age": 18.0,
  "user_occupation_label": "writer",
  "user_occupation_text": "writer",
  "user_zip_code": "12345",
  "raw_user_age": 23.0,
}


@pytest.fixture
def prepare(tmp_path, monkeypatch):
  """Prepares two ratings with the stock builder, without its download."""

  def generate(*_):
    yield 0, {**ROW, "movie_id": "1", "user_id": "7", "timestamp": 881250949}
    yield 1, {**ROW, "movie_id": "1", "user_id": "8", "timestamp": 964980499}

  def prepare(file_format: str) -> str:
    monkeypatch.setattr(
      movielens.Movielens,
      "_split_generators",
      lambda *_: {"train": generate()},
    )
    builder = movielens.Movielens(
      config="100k-ratings", data_dir=str(tmp_path), file_format=file_format
    )
    builder.download_and_prepare()
    return str(tmp_path)

  return prepare


@pytest.mark.parametrize("file_format", ["array_record", "parquet"])
def test_without_tensorflow(prepare, file_format, data_settings):
  data_dir = prepare(file_format)
  source = MovieLensTFDS.from_settings(data_settings(folder=data_dir))
  film, *people, first, second = source.read()
  assert film == Item(
    "1",
    title="Toy Story",
    tags=("Animation", "Comedy"),
    numbers={"year": 1995.0},
  )
  categories = {
    "age_group": "18-24",
    "gender": "F",
    "occupation": "writer",
    "region": "1",
  }
  assert sorted(people, key=lambda person: person.id) == [
    Person("7", categories),
    Person("8", categories),
  ]
  events = sorted([first, second], key=lambda event: event.person)
  assert events == [
    Event("7", "1", 881250949, 4.0),
    Event("8", "1", 964980499, 4.0),
  ]
  version = f"{data_dir}/movielens/100k-ratings/0.1.1"
  assert list(MovieLensTFDS(version).read()) == list(source.read())
  assert f"{version}/features.json" in source.files()


def test_tfrecord_needs_tensorflow(prepare, monkeypatch):
  # A stand-in: to write TFRecord needs TensorFlow as well.
  data_dir = prepare("array_record")
  monkeypatch.setattr(
    tfds.core.DatasetInfo,
    "file_format",
    tfds.core.file_adapters.FileFormat.TFRECORD,
  )
  monkeypatch.setattr(
    movielens_tfds.importlib.util, "find_spec", lambda _: None
  )
  with pytest.raises(UserError) as caught:
    list(MovieLensTFDS(data_dir).read())
  assert "only TensorFlow reads" in str(caught.value)
  assert "file_format='array_record'" in str(caught.value)


def test_nothing_prepared(tmp_path):
  with pytest.raises(UserError, match="no movielens/1m-ratings under"):
    list(MovieLensTFDS(str(tmp_path), "1m-ratings").read())


def test_versions_are_compared_as_numbers(tmp_path):
  for version in ("0.9.0", "0.10.0"):
    folder = tmp_path / "movielens/100k-ratings" / version
    folder.mkdir(parents=True)
    (folder / "features.json").touch()
  (newest,) = MovieLensTFDS(str(tmp_path)).files()
  assert newest.endswith("0.10.0/features.json")
