"""Events of a block of CSV or Parquet, many at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tagrec_jax.data.dataset import NO_TIME
from tagrec_jax.data.event_log import NO_RATING, EventColumns
from tagrec_jax.data.records import Event, Rejection
from tagrec_jax.data.sources.blocks import Batch, Block
from tagrec_jax.data.sources.rows import Row, records
from tagrec_jax.data.values import LATEST_TIME, LONGEST_ID

# What `values` reads as Arrow does; '' where nothing stands.
_ID = "^[ -~]*$"
_SECONDS = r"^[0-9]{0,10}$"
_NUMBER = r"^(-?[0-9]{1,15}(\.[0-9]{1,15})?)?$"


def plain_events(
  block: Block | Batch, make: Callable[[Row], Event]
) -> Iterator[EventColumns | Event | Rejection]:
  """The events of a block, in its order; plain ones as columns.

  Plain are ids as they are, or with spaces around them, seconds as digits and
  numbers without an exponent. All else is left to `make`.

  Args:
    block: of events that say no more.
    make: an event of a row.
  """
  found = _columns(block)
  if found is None:
    yield from records(block.rows(), make)
    return
  columns, plain = found
  others = np.flatnonzero(~plain).tolist()
  begin = 0
  for place in others:
    if place > begin:
      yield _part(columns, begin, place)
    yield from records((block.row(place),), make)
    begin = place + 1
  if begin < len(plain):
    yield _part(columns, begin, len(plain))


def _part(columns: EventColumns, begin: int, end: int) -> EventColumns:
  return EventColumns(
    columns.people[begin:end],
    columns.items[begin:end],
    columns.times[begin:end],
    columns.ratings[begin:end],
  )


def _columns(
  block: Block | Batch,
) -> tuple[EventColumns, np.ndarray] | None:
  """Events, and which of them are plain; the others' values mean nothing."""
  names = ["user_id", "item_id"]
  names += [name for name in ("timestamp", "rating") if name in block.names]
  cells = block.columns(names)
  if cells is None:
    return None
  found = dict(zip(names, cells, strict=True))
  people, is_person = _ids(found["user_id"])
  items, is_item = _ids(found["item_id"])
  plain = is_person & is_item
  times = np.full(len(plain), NO_TIME)
  ratings = np.full(len(plain), NO_RATING)
  if "timestamp" in found:
    times, good = _numbers(found["timestamp"], _SECONDS, times)
    plain &= good & (times < LATEST_TIME)
  if "rating" in found:
    ratings, good = _numbers(found["rating"], _NUMBER, ratings)
    plain &= good
  return EventColumns(people, items, times, ratings), plain


def _ids(cells: Any) -> tuple[Any, np.ndarray]:
  import pyarrow.compute as pc

  ids = pc.ascii_trim_whitespace(cells)
  lengths = pc.binary_length(ids).to_numpy()
  good = (lengths > 0) & (lengths <= LONGEST_ID)
  letters = pc.match_substring_regex(ids, _ID).to_numpy(zero_copy_only=False)
  return ids, good & letters


def _numbers(
  cells: Any, pattern: str, missing: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Numbers of the type of `missing`, and which cells fit the pattern.

  Args:
    missing: what stands for an empty cell.
  """
  import pyarrow as pa
  import pyarrow.compute as pc

  fits = pc.match_substring_regex(cells, pattern)
  given = pc.and_(fits, pc.not_equal(cells, ""))
  texts = pc.if_else(given, cells, pa.scalar("0", cells.type))
  numbers = texts.cast(pa.from_numpy_dtype(missing.dtype)).to_numpy()
  given = given.to_numpy(zero_copy_only=False)
  fits = fits.to_numpy(zero_copy_only=False)
  return np.where(given, numbers, missing), fits
