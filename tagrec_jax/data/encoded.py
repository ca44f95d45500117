"""Chosen products, tags, people and moments → the arrays of a data set."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np

from tagrec_jax.core.settings import DataSettings
from tagrec_jax.data.catalogue import Catalogue
from tagrec_jax.data.clean import Cleaned
from tagrec_jax.data.encodings import (
  MAX_TAGS,
  Encoding,
  Moment,
  moment_encodings,
  person_encodings,
  product_encodings,
  tag_encodings,
)
from tagrec_jax.data.event_log import add_counts
from tagrec_jax.data.histories import Histories
from tagrec_jax.data.moments import MOMENT_SIZES
from tagrec_jax.data.records import Item, Person, Tag
from tagrec_jax.data.spec import TAGS, Feature
from tagrec_jax.data.spill import Spill
from tagrec_jax.data.vocab import Vocabulary


@dataclasses.dataclass(frozen=True)
class Encoded:
  """Fields of a `Dataset`; `features` are those of its dicts.

  Attributes:
    moment: see `Interactions`.
  """

  encodings: tuple[Encoding, ...]
  features: tuple[Feature, ...]
  product: dict[str, np.ndarray]
  tag: dict[str, np.ndarray]
  person: dict[str, np.ndarray]
  moment: dict[str, np.ndarray]
  counts: dict[str, int]


def encode(
  chosen: Catalogue, cleaned: Cleaned, kept: Histories, settings: DataSettings
) -> Encoded:
  """Learns encodings of what trains and encodes with them what there is."""
  tags = [cleaned.tags.get(id, Tag(id)) for id in chosen.tags.ids]
  new_tags = [cleaned.tags.get(id, Tag(id)) for id in chosen.new_tags.ids]
  of_products = product_encodings(chosen.items, settings, chosen.tags)
  of_tags = tag_encodings(tags, of_products)
  of_people, person = _people(cleaned, kept)
  of_moments, moment = _moments(kept)
  # New products may have new tags, and more of them.
  readers = [
    tag_reader(e, e.names.extended(chosen.new_tags.ids), chosen.all_items)
    if e.feature.name == TAGS
    else e
    for e in of_products
  ]
  counts: collections.Counter[str] = collections.Counter()
  if nobodys := cleaned.tags.keys() - {tag.id for tag in tags + new_tags}:
    counts["tags described that no product has"] = len(nobodys)
  return Encoded(
    encodings=(*of_products, *of_tags, *of_people, *of_moments),
    features=tuple(
      e.feature for e in (*readers, *of_tags, *of_people, *of_moments)
    ),
    product={
      e.feature.name: e.encode(chosen.all_items, counts) for e in readers
    },
    tag={e.feature.name: e.encode(tags + new_tags) for e in of_tags},
    person=person,
    moment=moment,
    counts=dict(counts),
  )


def _people(
  cleaned: Cleaned, kept: Histories
) -> tuple[tuple[Encoding, ...], dict[str, np.ndarray]]:
  """Encodings of people and their arrays."""
  if not cleaned.people:  # there may be very many of whom nothing is known
    return (), {}
  people = [cleaned.people.get(id, Person(id)) for id in kept.people.ids]
  trains = kept.split.train_ends > kept.offsets[:-1]
  encodings = person_encodings([people[row] for row in np.flatnonzero(trains)])
  return encodings, {e.feature.name: e.encode(people) for e in encodings}


def _moments(
  kept: Histories,
) -> tuple[tuple[Encoding, ...], dict[str, np.ndarray]]:
  """Encodings of moments and their arrays."""
  said = kept.events.said
  times = np.zeros(len(said), np.int64)
  for rows, trains in kept.parts():
    add_counts(times, rows["said"][trains])
  moments = [Moment(categories) for _, categories in said]
  encodings = moment_encodings(moments, times.tolist(), MOMENT_SIZES)
  arrays = {}
  for encoding in encodings:
    classes = encoding.encode(moments)
    array = Spill(np.int32, kept.events.folder)
    for rows in kept.events.parts():
      array.append(classes[rows["said"]])
    arrays[encoding.feature.name] = array.array()
  return encodings, arrays


def tag_reader(
  tags: Encoding, names: Vocabulary, items: Sequence[Item]
) -> Encoding:
  """The encoding with other rows for tags, as wide as `items` need.

  Its size stays: models have vectors of their own for the tags of training.
  """
  most = max((len(set(item.tags)) for item in items), default=0)
  width = min(max(most, tags.feature.width), MAX_TAGS)
  return dataclasses.replace(
    tags, feature=dataclasses.replace(tags.feature, width=width), names=names
  )
