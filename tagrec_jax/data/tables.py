"""A data set ↔ the two tables it is kept in, people and the catalogue."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tagrec_jax.data.dataset import Dataset, Interactions, Questions
from tagrec_jax.data.spec import Feature, Kind, Part, Spec
from tagrec_jax.data.vocab import Vocabulary

if TYPE_CHECKING:
  from tagrec_jax.data.builder import Row


def write_tables(dataset: Dataset, folder: pathlib.Path) -> None:
  """Writes both tables below a folder."""
  from tagrec_jax.data.builder import write_table

  write_table(
    folder,
    "people",
    _people_features(dataset.spec),
    functools.partial(_people_rows, dataset),
    len(dataset.people),
  )
  write_table(
    folder,
    "catalogue",
    _catalogue_features(dataset.spec),
    functools.partial(_catalogue_rows, dataset),
    len(dataset.items),
  )


def read_tables(folder: pathlib.Path, spec: Spec) -> dict[str, Any]:
  """The fields of a `Dataset` that `write_tables` wrote."""
  from tagrec_jax.data.builder import read_table

  people = read_table(folder, "people", _people_features(spec))
  lengths = [len(items) for items in people["items"]]
  offsets = np.cumsum([0, *lengths]).astype(np.int64)
  catalogue = read_table(folder, "catalogue", _catalogue_features(spec))
  return {
    "people": Vocabulary(_decode(people["id"])),
    "events": Interactions(
      offsets, np.concatenate(people["items"]), np.concatenate(people["times"])
    ),
    "train_ends": offsets[:-1] + np.array(people["train"], np.int64),
    "valid": _questions(people["valid"], offsets),
    "test": _questions(people["test"], offsets),
    "person": _arrays(people, spec.of(Part.PERSON)),
    "items": Vocabulary(_decode(catalogue["id"])),
    "titles": _decode(catalogue["title"]),
    "product": _arrays(catalogue, spec.of(Part.PRODUCT)),
  }


def _people_features(spec: Spec) -> Row:
  """Columns of the people table; event numbers count from 0 in each person."""
  import tensorflow_datasets as tfds

  def many(dtype: type) -> Any:
    return tfds.features.Tensor(shape=(None,), dtype=dtype)

  return {
    "id": tfds.features.Text(),
    "items": many(np.int32),
    "times": many(np.int64),
    "train": tfds.features.Scalar(dtype=np.int64),  # events 0:train
    "valid": many(np.int64),
    "test": many(np.int64),
  } | {_column(f): _tensor(f) for f in spec.of(Part.PERSON)}


def _people_rows(dataset: Dataset, first: int, last: int) -> Iterator[Row]:
  asked = {"valid": dataset.valid, "test": dataset.test}
  # Questions are in the order of people: bounds[p]:bounds[p + 1] are p's.
  bounds = {
    name: np.searchsorted(questions.people, np.arange(last + 1))
    for name, questions in asked.items()
  }
  for person in range(first, last):
    mine = dataset.events.of(person)
    yield (
      {
        "id": _encode(dataset.people.ids[person]),
        "items": dataset.events.items[mine],
        "times": dataset.events.times[mine],
        "train": dataset.train_ends[person] - mine.start,
      }
      | {
        name: questions.events[slice(*bounds[name][person : person + 2])]
        - mine.start
        for name, questions in asked.items()
      }
      | _features(dataset.person, Part.PERSON, person)
    )


def _questions(events: Sequence[np.ndarray], offsets: np.ndarray) -> Questions:
  counts = [len(of_person) for of_person in events]
  people = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
  return Questions(people, np.concatenate(events) + offsets[people])


def _catalogue_features(spec: Spec) -> Row:
  """Columns of the catalogue."""
  import tensorflow_datasets as tfds

  text = {"id": tfds.features.Text(), "title": tfds.features.Text()}
  return text | {_column(f): _tensor(f) for f in spec.of(Part.PRODUCT)}


def _catalogue_rows(dataset: Dataset, first: int, last: int) -> Iterator[Row]:
  for item in range(first, last):
    yield {
      "id": _encode(dataset.items.ids[item]),
      "title": _encode(dataset.titles[item]),
    } | _features(dataset.product, Part.PRODUCT, item)


# Features: one column each, named by part and name.


def _column(feature: Feature) -> str:
  return f"{feature.part}_{feature.name}"


def _shape(feature: Feature) -> tuple[int, ...]:
  return () if feature.kind == Kind.CATEGORY else (feature.width,)


def _dtype(feature: Feature) -> type:
  return np.float32 if feature.kind == Kind.NUMBER else np.int32


def _tensor(feature: Feature) -> Any:
  import tensorflow_datasets as tfds

  return tfds.features.Tensor(shape=_shape(feature), dtype=_dtype(feature))


def _features(arrays: dict[str, np.ndarray], part: Part, row: int) -> Row:
  return {f"{part}_{name}": array[row] for name, array in arrays.items()}


def _arrays(
  columns: dict[str, list], features: Sequence[Feature]
) -> dict[str, np.ndarray]:
  return {
    f.name: np.array(columns[_column(f)], _dtype(f)).reshape(-1, *_shape(f))
    for f in features
  }


# Text: damaged files may hold characters that UTF-8 alone does not take.


def _encode(text: str) -> bytes:
  return text.encode("utf-8", "surrogatepass")


def _decode(texts: Sequence[bytes]) -> tuple[str, ...]:
  return tuple(text.decode("utf-8", "surrogatepass") for text in texts)
