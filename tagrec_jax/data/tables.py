"""A data set ↔ the tables it is kept in: people, the catalogue and tags.

A table is a dict of columns: an array with a row for each person, product or
tag, or `Lists` where each has a different number of values (events, texts).
"""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tagrec_jax.data.dataset import Dataset, Interactions, Questions
from tagrec_jax.data.lists import Lists
from tagrec_jax.data.spec import Part, Spec
from tagrec_jax.data.vocab import Vocabulary

Columns = Mapping[str, np.ndarray | Lists]


def write_tables(dataset: Dataset, folder: pathlib.Path) -> None:
  """Writes all tables below a folder."""
  from tagrec_jax.data.builder import write_table

  write_table(folder, "people", _people(dataset), len(dataset.people))
  write_table(folder, "catalogue", _catalogue(dataset), len(dataset.titles))
  tags = dataset.all_tags
  columns: dict[str, np.ndarray | Lists] = {"id": _letters(tags.ids)}
  columns |= _columns(Part.TAG, dataset.tag)
  write_table(folder, "tags", columns, len(tags))


def read_tables(folder: pathlib.Path, spec: Spec) -> dict[str, Any]:
  """The fields of a `Dataset` that `write_tables` wrote."""
  from tagrec_jax.data.builder import read_table

  people = read_table(folder, "people")
  offsets = people["items"].offsets
  catalogue = read_table(folder, "catalogue")
  tags = read_table(folder, "tags")
  items, new_items = _vocabularies(catalogue, spec.num_items)
  trained_tags, new_tags = _vocabularies(tags, spec.num_tags)
  return {
    "people": Vocabulary(_texts(people["id"])),
    "events": Interactions(
      offsets,
      people["items"].values,
      people["times"].values,
      _posted(people),
      {
        feature.name: people[key].values
        for feature in spec.of(Part.MOMENT)
        if (key := f"{Part.MOMENT}_{feature.name}") in people
      },
    ),
    "train_ends": offsets[:-1] + people["train"],
    "valid": _questions(people["valid"], offsets),
    "test": _questions(people["test"], offsets),
    "person": _features(people, Part.PERSON, spec),
    "items": items,
    "new_items": new_items,
    "titles": _texts(catalogue["title"]),
    "product": _features(catalogue, Part.PRODUCT, spec),
    "valid_items": np.flatnonzero(catalogue["valid"]).astype(np.int32),
    "test_items": np.flatnonzero(catalogue["test"]).astype(np.int32),
    "tags": trained_tags,
    "new_tags": new_tags,
    "tag": _features(tags, Part.TAG, spec),
  }


def _people(dataset: Dataset) -> Columns:
  """Columns of the people; events are counted from 0 in each person."""
  events = dataset.events
  columns = {
    name: Lists(classes, events.offsets)
    for name, classes in _columns(Part.MOMENT, events.moment).items()
  }
  if posted := events.posted:
    columns["posted"] = Lists(posted.values, posted.offsets[events.offsets])
    columns["posts"] = Lists(np.diff(posted.offsets), events.offsets)
  return {
    "id": _letters(dataset.people.ids),
    "items": Lists(events.items, events.offsets),
    "times": Lists(events.times, events.offsets),
    "train": dataset.train_ends - events.offsets[:-1],  # events 0:train
    "valid": _asked(dataset.valid, events.offsets),
    "test": _asked(dataset.test, events.offsets),
    **_columns(Part.PERSON, dataset.person),
    **columns,
  }


def _posted(people: Mapping[str, Any]) -> Lists | None:
  """The tags of each event: all of a person's, and how many each one has."""
  if "posted" not in people:
    return None
  return Lists.of(people["posted"].values, people["posts"].values)


def _catalogue(dataset: Dataset) -> Columns:
  """Columns of the products; 'valid' and 'test' say of which tags are asked."""
  rows = np.arange(len(dataset.titles))
  return {
    "id": _letters(dataset.all_items.ids),
    "title": _letters(dataset.titles),
    "valid": np.isin(rows, dataset.valid_items),
    "test": np.isin(rows, dataset.test_items),
    **_columns(Part.PRODUCT, dataset.product),
  }


def _vocabularies(
  table: Mapping[str, Any], trained: int
) -> tuple[Vocabulary, Vocabulary]:
  """The ids of training, and the new ones after them."""
  ids = _texts(table["id"])
  return Vocabulary(ids[:trained]), Vocabulary(ids[trained:])


def _columns(
  part: Part, arrays: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
  return {f"{part}_{name}": array for name, array in arrays.items()}


def _features(
  columns: Mapping[str, Any], part: Part, spec: Spec
) -> dict[str, np.ndarray]:
  return {f.name: columns[f"{part}_{f.name}"] for f in spec.of(part)}


def _asked(questions: Questions, offsets: np.ndarray) -> Lists:
  """The events each person is asked for; questions are in people's order."""
  counts = np.bincount(questions.people, minlength=len(offsets) - 1)
  return Lists.of(questions.events - offsets[questions.people], counts)


def _questions(asked: Lists, offsets: np.ndarray) -> Questions:
  counts = np.diff(asked.offsets)
  people = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
  return Questions(people, asked.values + offsets[people])


# Text: damaged files may hold characters that UTF-8 alone does not take.


def _letters(texts: Sequence[str]) -> Lists:
  encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
  lengths = np.fromiter(map(len, encoded), np.int64)
  return Lists.of(np.frombuffer(b"".join(encoded), np.uint8), lengths)


def _texts(letters: Lists) -> tuple[str, ...]:
  joined = letters.values.tobytes()
  return tuple(
    joined[start:end].decode("utf-8", "surrogatepass")
    for start, end in itertools.pairwise(letters.offsets.tolist())
  )
