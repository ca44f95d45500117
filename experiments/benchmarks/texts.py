"""What peers are told of products: the texts, and the fields our model reads.

A prepared data set keeps arrays, and no texts. They are read from the source
again, cleaned in the same way and put in the order of the data set's rows.
"""

from __future__ import annotations

import numpy as np

from experiments.peers.tag_products import TagProducts
from tagrec_jax import registries
from tagrec_jax.core.settings import Settings
from tagrec_jax.data.clean import clean
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.encodings import Encoding
from tagrec_jax.data.records import Item
from tagrec_jax.data.spec import TAGS, Kind, Part

BINS = 10
"""Words a number is told in: which tenth of the training products has it."""

_TOLD = (Kind.CATEGORY, Kind.ID_SET, Kind.NUMBER)


def tag_products(settings: Settings, dataset: Dataset) -> TagProducts:
  """The products of a data set as peers read them.

  Fields are those of `settings.model.product` that words can tell: categories,
  sets and numbers, taken from the very arrays that our model is given. Texts,
  pictures and clips are none of them; `fields` is empty where nothing else is
  read.
  """
  tags_CM = dataset.product[TAGS][: dataset.spec.num_items]
  given_CM = tags_CM >= 0
  return TagProducts(
    texts=texts(settings, dataset),
    fields=fields(dataset, settings.model.product),
    offsets=np.append(0, np.cumsum(given_CM.sum(axis=1))).astype(np.int64),
    tags=tags_CM[given_CM].astype(np.int32),
    num_tags=dataset.spec.num_tags,
    asked={
      "valid": dataset.valid_items.astype(np.int64),
      "test": dataset.test_items.astype(np.int64),
    },
  )


def texts(settings: Settings, dataset: Dataset) -> list[str]:
  """Title and description of each row, '' where nobody described it."""
  source = registries.SOURCES[settings.data.source].from_settings(settings.data)
  described = (record for record in source.read() if isinstance(record, Item))
  items = clean(described, settings.data).items
  return [
    f"{item.title} {item.description}".strip()
    for item in (
      items.get(id, Item(id))
      for id in (*dataset.items.ids, *dataset.new_items.ids)
    )
  ]


def fields(dataset: Dataset, names: tuple[str, ...]) -> list[list[str]]:
  """Words such as 'section=libs' for the named features of each product."""
  told: list[list[str]] = [[] for _ in dataset.titles]
  for encoding in dataset.encodings:
    feature = encoding.feature
    if (
      feature.part == Part.PRODUCT
      and feature.name in names
      and feature.kind in _TOLD
    ):
      for row, column, value in _values(dataset, encoding):
        told[row].append(f"{column}={'_'.join(value.split())}")
  return told


def _values(dataset: Dataset, encoding: Encoding) -> list[tuple[int, str, str]]:
  """(row, name, value) of what is known."""
  name, ids = encoding.feature.name, encoding.names.ids
  table = dataset.product[name]
  table = table.reshape(len(table), -1)
  if encoding.feature.kind == Kind.NUMBER:
    return [
      (row, column_name, str(value))
      for column_name, column in zip(ids, table.T, strict=True)
      for row, value in _tenths(column, dataset.spec.num_items)
    ]
  rows, columns = np.nonzero(table >= 0)
  return [
    (row, name, ids[value])
    for row, value in zip(
      rows.tolist(), table[rows, columns].tolist(), strict=True
    )
  ]


def _tenths(column: np.ndarray, num_items: int) -> list[tuple[int, int]]:
  """(row, which tenth of training) of the known numbers of a column."""
  known = np.flatnonzero(~np.isnan(column))
  training = column[known[known < num_items]]
  if not len(training):
    return []
  edges = np.unique(np.quantile(training, np.arange(1, BINS) / BINS))
  tenths = np.searchsorted(edges, column[known], side="right")
  return list(zip(known.tolist(), tenths.tolist(), strict=True))
