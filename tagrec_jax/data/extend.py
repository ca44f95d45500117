"""A data set to which products and tags are added after training."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Int32, Integer

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.encoded import tag_reader
from tagrec_jax.data.encodings import Encoding
from tagrec_jax.data.fingerprint import fingerprint
from tagrec_jax.data.lists import Lists
from tagrec_jax.data.records import Item, Tag
from tagrec_jax.data.spec import TAGS, Feature, Part
from tagrec_jax.data.vocab import Vocabulary

Described = TypeVar("Described", Item, Tag)


def extend(
  dataset: Dataset, items: Sequence[Item], tags: Sequence[Tag]
) -> Dataset:
  """Gives products and tags that came later rows after those of training.

  First come the rows of training as they were, then those given here in their
  order, then what is still new; whatever names a row is renumbered. Encodings
  stay as they were learned. Products whose tags are asked still are. Adding in
  two steps gives the same as adding at once.

  Args:
    items, tags: clean records. New ones of the data set are named by their id
      and keep what is known of them; others are encoded. A tag that only an
      added product has becomes a new tag.

  Raises:
    UserError: if one is of training already or comes twice, or if there are
      tags but training had none.
  """
  check_new(dataset, items, tags)
  has_tags = TAGS in dataset.product
  if tags and not len(dataset.tags):
    raise UserError(
      f"tag '{tags[0].id}'",
      "no product of training has a tag",
      "a data set with tags",
      "add products only",
    )
  item_rows = _Rows(dataset.items, dataset.new_items, items)
  mentioned = [
    Tag(tag) for item in item_rows.added for tag in item.tags if has_tags
  ]
  tag_rows = _Rows(dataset.tags, dataset.new_tags, tags, mentioned)
  counts = collections.Counter(dataset.counts)
  posted = dataset.events.posted
  readers = _readers(dataset, item_rows.added, tag_rows.all)
  titles = (*dataset.titles, *(i.title or i.id for i in item_rows.added))
  extended = dataclasses.replace(
    dataset,
    spec=dataclasses.replace(
      dataset.spec,
      num_items=len(item_rows.trained),
      num_tags=len(tag_rows.trained),
      features=_features(dataset, readers),
      num_new_items=len(item_rows.new),
      num_new_tags=len(tag_rows.new),
    ),
    items=item_rows.trained,
    new_items=item_rows.new,
    tags=tag_rows.trained,
    new_tags=tag_rows.new,
    titles=tuple(titles[place] for place in item_rows.places.tolist()),
    events=dataclasses.replace(
      dataset.events,
      items=item_rows.moved(dataset.events.items),
      posted=posted and Lists(tag_rows.moved(posted.values), posted.offsets),
    ),
    valid_items=np.sort(item_rows.moved(dataset.valid_items)),
    test_items=np.sort(item_rows.moved(dataset.test_items)),
    product=_product(dataset, readers, item_rows, tag_rows, counts),
    tag={
      e.feature.name: np.concatenate(
        [dataset.tag[e.feature.name], e.encode(tag_rows.added)]
      )[tag_rows.places]
      for e in dataset.encodings
      if e.feature.part is Part.TAG
    },
    counts=dict(counts),
  )
  return dataclasses.replace(extended, fingerprint=fingerprint(extended))


def check_new(
  dataset: Dataset, items: Sequence[Item], tags: Sequence[Tag]
) -> None:
  """Raises UserError for the first record that cannot be added."""
  _check(dataset.items, items)
  _check(dataset.tags, tags)


def _check(trained: Vocabulary, given: Sequence[Item] | Sequence[Tag]) -> None:
  seen: set[str] = set()
  for record in given:
    kind = type(record).__name__.lower()
    if record.id in trained or record.id in seen:
      raise UserError(
        f"{kind} '{record.id}'",
        "comes twice" if record.id in seen else "has been trained on",
        f"a new {kind}",
        "leave it out",
      )
    seen.add(record.id)


class _Rows(Generic[Described]):
  """Where rows go.

  Args:
    trained, new: of the data set as it is.
    given: what gets rows after those of training.
    mentioned: what else is to be known, as new.

  Attributes:
    trained, new, all: ids ↔ rows as they will be.
    added: records that have no row yet, to be encoded.
    places: int32, of each row, its place among old rows and then `added`.
  """

  def __init__(
    self,
    trained: Vocabulary,
    new: Vocabulary,
    given: Sequence[Described],
    mentioned: Sequence[Described] = (),
  ):
    known = trained.extended(new.ids)
    unknown = [r for r in [*given, *mentioned] if r.id not in known]
    first = {r.id: r for r in reversed(unknown)}  # of two the first
    self.added = [first[id] for id in dict.fromkeys(r.id for r in unknown)]
    before = known.extended(record.id for record in self.added)
    self.trained = trained.extended(record.id for record in given)
    self.new = Vocabulary([id for id in before.ids if id not in self.trained])
    self.all = self.trained.extended(self.new.ids)
    self.places: Int32[np.ndarray, " N"] = before.indices(self.all.ids)
    self._rows = self.all.indices(before.ids)

  def moved(self, rows: Integer[np.ndarray, "..."]) -> Int32[np.ndarray, "..."]:
    """What rows have become; UNKNOWN stays."""
    moved = rows.astype(np.int32)
    moved[rows >= 0] = self._rows[rows[rows >= 0]]
    return moved


def _readers(
  dataset: Dataset, added: Sequence[Item], tags: Vocabulary
) -> list[Encoding]:
  """How added products are read: the encodings, but with all tags."""
  now = {f.name: f for f in dataset.spec.of(Part.PRODUCT)}
  of_products = [e for e in dataset.encodings if e.feature.part is Part.PRODUCT]
  return [
    tag_reader(dataclasses.replace(e, feature=now[TAGS]), tags, added)
    if e.feature.name == TAGS
    else e
    for e in of_products
  ]


def _features(
  dataset: Dataset, readers: Sequence[Encoding]
) -> tuple[Feature, ...]:
  """The feature table; products may have more tags than any had before."""
  read = {e.feature.name: e.feature for e in readers}
  return tuple(
    read[f.name] if f.part is Part.PRODUCT else f for f in dataset.spec.features
  )


def _product(
  dataset: Dataset,
  readers: Sequence[Encoding],
  items: _Rows[Item],
  tags: _Rows[Tag],
  counts: collections.Counter[str],
) -> dict[str, np.ndarray]:
  """The arrays of products; `counts` takes what could not be read."""
  product = {}
  for reader in readers:
    name = reader.feature.name
    old, added = dataset.product[name], reader.encode(items.added, counts)
    if name == TAGS:
      wider = ((0, 0), (0, added.shape[1] - old.shape[1]))
      old = np.pad(tags.moved(old), wider, constant_values=UNKNOWN)
    product[name] = np.concatenate([old, added])[items.places]
  return product
