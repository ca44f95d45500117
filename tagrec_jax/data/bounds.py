"""Every row number of a data set is a row of the table that it points into.

On devices a number that is too large does not fail: a lookup gives NaN or
another row, and one of 64 bits loses its upper half.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.mapped import forget
from tagrec_jax.data.spec import TAGS, Kind, Part
from tagrec_jax.data.spill import PART

_NUMBERED = (Kind.CATEGORY, Kind.ID_SET, Kind.TEXT, Kind.NGRAMS)


def check_rows(dataset: Dataset) -> None:
  """Looks at every row number once.

  Raises:
    UserError: naming the array, the number, where it stands, and the limit.
  """
  for name, rows, size in _numbered(dataset):
    if not np.issubdtype(rows.dtype, np.integer):
      raise _wrong(dataset, name, f"found {rows.dtype}", "whole numbers")
    flat = rows.reshape(-1)
    first, count = -1, 0
    for begin in range(0, len(flat), PART):
      part = flat[begin : begin + PART]
      bad = np.flatnonzero((part < UNKNOWN) | (part >= size))
      if len(bad) and not count:
        first = begin + int(bad[0])
      count += len(bad)
      forget(flat)
    if count:
      raise _wrong(
        dataset,
        name,
        f"found {flat[first]} at {first:,}, and {count - 1:,} more",
        f"{UNKNOWN} to {size - 1}",
      )


def _wrong(dataset: Dataset, name: str, found: str, expected: str) -> UserError:
  return UserError(
    f"data '{dataset.name}' [{name}]",
    found,
    expected,
    "prepare the data again, and report what made them",
  )


def _numbered(dataset: Dataset) -> Iterator[tuple[str, np.ndarray, int]]:
  """(name, row numbers, rows of the table) of each array."""
  spec, events = dataset.spec, dataset.events
  items = spec.num_items + spec.num_new_items
  tags = spec.num_tags + spec.num_new_tags
  yield "events", events.items, items
  if events.posted is not None:
    yield "posts", events.posted.values, tags
  for split in ("valid", "test"):
    questions = getattr(dataset, split)
    yield f"{split} people", questions.people, len(events.offsets) - 1
    yield f"{split} events", questions.events, len(events.items)
    yield f"{split} products", getattr(dataset, f"{split}_items"), items
  arrays = {
    Part.PRODUCT: dataset.product,
    Part.PERSON: dataset.person,
    Part.TAG: dataset.tag,
    Part.MOMENT: events.moment,
  }
  for feature in spec.features:
    array = arrays[feature.part].get(feature.name)
    if array is not None and feature.kind in _NUMBERED:
      of_tags = feature.part is Part.PRODUCT and feature.name == TAGS
      yield feature.name, array, tags if of_tags else feature.size
