"""MovieLens as the stock builder of TensorFlow Datasets prepared it."""

from __future__ import annotations

import dataclasses
import glob
import importlib.util
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import DataSettings
from tagrec_jax.data.records import Event, Item, Person, Record
from tagrec_jax.data.sources import movielens_fields as fields

_PREPARE = (
  "tfds.builder('movielens/{config}').download_and_prepare("
  "file_format='array_record')"
)


@dataclasses.dataclass(frozen=True)
class MovieLensTFDS:
  """Reads a prepared `movielens/<config>`; nothing is downloaded.

  Prepared as ArrayRecord or Parquet it is read without TensorFlow; TFRecord,
  which TFDS chooses by itself, needs it. Films nobody rated are not in it, and
  since TFDS shuffles, ratings of one second come in its order.

  Attributes:
    folder: the prepared version (it holds features.json) or the data_dir of
      TFDS; '': ~/tensorflow_datasets.
    config: such as '100k-ratings', '1m-ratings' or 'latest-small-ratings'.
  """

  folder: str = ""
  config: str = "100k-ratings"

  @classmethod
  def from_settings(cls, settings: DataSettings) -> MovieLensTFDS:
    return cls(settings.folder)

  @property
  def name(self) -> str:
    return f"movielens_tfds_{self.config}"

  def files(self) -> list[str]:
    """Everything in the prepared folder."""
    return sorted(glob.glob(os.path.join(self._version(), "*")))

  def read(self) -> Iterator[Record]:
    """Films, people where they are described, then ratings.

    Raises:
      UserError: if nothing is prepared, or TensorFlow is needed and missing.
    """
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(self._version())
    labels = builder.info.features["movie_genres"].feature.names
    films: dict[str, Item] = {}
    people: dict[str, Person] = {}
    events = []
    for row in self._rows(builder):
      event = _event(row)
      events.append(event)
      if event.item not in films:
        films[event.item] = _film(row, labels)
      if event.person not in people and "user_gender" in row:
        people[event.person] = _person(row)
    yield from films.values()
    yield from people.values()
    yield from events

  def _version(self) -> str:
    root = os.path.expanduser(self.folder or "~/tensorflow_datasets")
    if os.path.isfile(os.path.join(root, "features.json")):
      return root
    pattern = os.path.join(root, "movielens", self.config, "*", "features.json")
    versions = [os.path.dirname(path) for path in glob.glob(pattern)]
    if not versions:
      raise UserError(
        "config.data.folder",
        f"no movielens/{self.config} under '{root}'",
        "what TensorFlow Datasets prepared",
        _PREPARE.format(config=self.config),
      )
    return max(versions, key=_version_key)

  def _rows(self, builder: Any) -> Iterable[Mapping[str, Any]]:
    if builder.info.file_format.name != "TFRECORD":
      source = builder.as_data_source(split="train")
      return (source[index] for index in range(len(source)))
    if importlib.util.find_spec("tensorflow") is None:
      raise UserError(
        str(builder.data_dir),
        "TFRecord files, which only TensorFlow reads",
        "ArrayRecord or Parquet",
        "pip install tensorflow, or "
        + _PREPARE.format(config=self.config)
        + " into another data_dir",
      )
    import tensorflow_datasets as tfds

    return tfds.as_numpy(builder.as_dataset(split="train", shuffle_files=False))


def _version_key(folder: str) -> tuple[int, ...]:
  parts = os.path.basename(folder).split(".")
  return tuple(int(part) if part.isdecimal() else -1 for part in parts)


def _event(row: Mapping[str, Any]) -> Event:
  return Event(
    person=row["user_id"].decode(),
    item=row["movie_id"].decode(),
    time=int(row["timestamp"]),
    rating=float(row["user_rating"]),
  )


def _film(row: Mapping[str, Any], labels: list[str]) -> Item:
  title, numbers = fields.title_and_year(row["movie_title"].decode())
  return Item(
    id=row["movie_id"].decode(),
    title=title,
    tags=fields.genres(labels[number] for number in row["movie_genres"]),
    numbers=numbers,
  )


def _person(row: Mapping[str, Any]) -> Person:
  return Person(
    row["user_id"].decode(),
    fields.person_categories(
      float(row["bucketized_user_age"]),
      "M" if row["user_gender"] else "F",
      row["user_occupation_text"].decode(),
      row["user_zip_code"].decode(),
    ),
  )
