"""A data set ↔ the tables it is kept in: people, the catalogue and tags.

A table is a dict of columns: an array with a row for each person, product or
tag, or `Lists` where each has a different number of values (events, texts).
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tagrec_jax.data.beam_engine import Beam
from tagrec_jax.data.dataset import Dataset, Interactions, Questions
from tagrec_jax.data.lists import Columns, Lists
from tagrec_jax.data.mapped import mapped_columns
from tagrec_jax.data.spec import Part, Spec
from tagrec_jax.data.vocab import Vocabulary, letters_of, texts_of

_MAPPED = "mapped"
"""Columns of many people, made of the shards when they are first read."""


def write_tables(
  dataset: Dataset, folder: pathlib.Path, beam: Beam | None = None
) -> None:
  """Writes all tables below a folder; `beam` as `builder.write_table`."""
  from tagrec_jax.data.builder import write_table

  people, products = len(dataset.people), len(dataset.titles)
  write_table(folder, "people", _people(dataset), people, beam)
  write_table(folder, "catalogue", _catalogue(dataset), products, beam)
  tags = dataset.all_tags
  columns: dict[str, np.ndarray | Lists] = {"id": letters_of(tags.ids)}
  columns |= _columns(Part.TAG, dataset.tag)
  write_table(folder, "tags", columns, len(tags), beam)


def read_tables(folder: pathlib.Path, spec: Spec) -> dict[str, Any]:
  """The fields of a `Dataset` that `write_tables` wrote."""
  from tagrec_jax.data.builder import is_large, read_table

  large = is_large(folder, "people")
  people = (
    _mapped_people(folder)
    if large
    else _flat(read_table(folder, "people"), 0, 0)
  )
  catalogue = read_table(folder, "catalogue")
  tags = read_table(folder, "tags")
  items, new_items = _vocabularies(catalogue, spec.num_items)
  trained_tags, new_tags = _vocabularies(tags, spec.num_tags)
  return {
    "people": Vocabulary.of_letters(people["id"], large),
    "events": Interactions(
      people["items"].offsets,
      people["items"].values,
      people["times"],
      people.get("posted"),
      {
        feature.name: people[key]
        for feature in spec.of(Part.MOMENT)
        if (key := f"{Part.MOMENT}_{feature.name}") in people
      },
    ),
    "train_ends": people["train_ends"],
    "valid": Questions(people["valid_people"], people["valid_events"]),
    "test": Questions(people["test_people"], people["test_events"]),
    "person": _features(people, Part.PERSON, spec),
    "items": items,
    "new_items": new_items,
    "titles": texts_of(catalogue["title"]),
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
    "id": letters_of(dataset.people.ids),
    "items": Lists(events.items, events.offsets),
    "times": Lists(events.times, events.offsets),
    "train": dataset.train_ends - events.offsets[:-1],  # events 0:train
    "valid": _asked(dataset.valid, events.offsets),
    "test": _asked(dataset.test, events.offsets),
    **_columns(Part.PERSON, dataset.person),
    **columns,
  }


def _mapped_people(folder: pathlib.Path) -> dict[str, Any]:
  """`_flat` of all people, in files that are mapped."""
  from tagrec_jax.data.builder import read_parts

  def parts() -> Iterator[Columns]:
    person = event = 0
    for people in read_parts(folder, "people"):
      flat = _flat(people, person, event)
      yield flat
      person += len(flat["train_ends"])
      event += len(flat["times"])

  return mapped_columns(folder / _MAPPED, parts)


def _flat(people: Mapping[str, Any], person: int, event: int) -> dict[str, Any]:
  """What `_people` made of some people, the first of whom is `person`.

  Events are counted from `event` here, but for offsets of lists, which count
  from 0. Parts of the people one after another are the whole.
  """
  offsets = people["items"].offsets + event
  flat = {
    "id": people["id"],
    "items": people["items"],
    "times": people["times"].values,
    "train_ends": offsets[:-1] + people["train"],
  }
  for name in ("valid", "test"):
    asked = _questions(people[name], offsets)
    flat[f"{name}_people"] = asked.people + np.int32(person)
    flat[f"{name}_events"] = asked.events
  if "posted" in people:  # all tags of a person, and how many each event has
    flat["posted"] = Lists.of(people["posted"].values, people["posts"].values)
  for name, column in people.items():
    if name.startswith(f"{Part.MOMENT}_"):
      flat[name] = column.values
    elif name.startswith(f"{Part.PERSON}_"):
      flat[name] = column
  return flat


def _catalogue(dataset: Dataset) -> Columns:
  """Columns of the products; 'valid' and 'test' say of which tags are asked."""
  rows = np.arange(len(dataset.titles))
  return {
    "id": letters_of(dataset.all_items.ids),
    "title": letters_of(dataset.titles),
    "valid": np.isin(rows, dataset.valid_items),
    "test": np.isin(rows, dataset.test_items),
    **_columns(Part.PRODUCT, dataset.product),
  }


def _vocabularies(
  table: Mapping[str, Any], trained: int
) -> tuple[Vocabulary, Vocabulary]:
  """The ids of training, and the new ones after them."""
  ids = texts_of(table["id"])
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
