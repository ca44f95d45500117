"""A raw source → a prepared data set, made once and found again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from tagrec_jax.core import paths
from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.log import say
from tagrec_jax.core.settings import DataSettings
from tagrec_jax.data import store
from tagrec_jax.data.clean import Cleaned, clean
from tagrec_jax.data.dataset import NO_TIME, Dataset, Interactions
from tagrec_jax.data.encodings import (
  MAX_TAGS,
  Encoding,
  person_encodings,
  product_encodings,
)
from tagrec_jax.data.fingerprint import fingerprint
from tagrec_jax.data.moments import MOMENT_FEATURES
from tagrec_jax.data.records import Event, Item, Person, Record, Source
from tagrec_jax.data.spec import Feature, Spec
from tagrec_jax.data.splits import Split, global_time, leave_one_out
from tagrec_jax.data.vocab import Vocabulary

VERSION = 2
"""Raised whenever the same files would give other prepared data."""

QUIET_SECONDS = 10.0
"""Between two lines for those who wait."""


def open_or_prepare(
  source: Source,
  settings: DataSettings,
  *,
  log: Callable[[str], None] | None = None,
) -> Dataset:
  """The prepared data of a source: read if it exists, else made and kept.

  It is looked for under the contents of the source's files, the settings that
  matter and the version of this code, so it is never out of date. Several
  processes may do this at once.

  Args:
    log: takes one line that says what was done; by default it goes to stderr.

  Raises:
    UserError: if the source cannot be read or gives nothing to train on.
    StorageError: if prepared data is damaged or cannot be written.
  """
  log = log or say
  cache = paths.cache_folder(settings.cache_dir)
  name = re.sub(r"[^\w.-]+", "_", source.name)
  folder = cache / "prepared" / name / _key(source, settings)
  if folder.exists():
    dataset, done = store.read(folder), "found"
  else:
    store.write(prepare(source, settings), folder)
    dataset, done = store.read(folder), "prepared"
  log(f"{done} {_summary(dataset)} in {folder}")
  return dataset


def _key(source: Source, settings: DataSettings) -> str:
  """Names what prepared data depends on; where files are does not matter."""
  values = {
    name: value
    for name, value in dataclasses.asdict(settings).items()
    if name not in ("folder", "cache_dir") and not name.startswith("shop_")
  }
  files = []
  for path in source.files():
    try:
      with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
      raise UserError(
        path,
        f"cannot be read ({error.strerror})",
        "a file",
        "look at config.data.folder",
      ) from error
    files.append((pathlib.Path(path).name, digest))
  # A source that makes its data is known by what it was told (`shop_...`).
  contents = sorted(files) or repr(source)
  parts = (VERSION, store.VERSION, source.name, values, contents)
  text = json.dumps(parts, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:16]


def _summary(dataset: Dataset) -> str:
  left_out = ", ".join(
    f"{count:,} {reason}" for reason, count in dataset.counts.items()
  )
  return (
    f"{dataset.name}: {len(dataset.people):,} people, {len(dataset.items):,}"
    f" products, {len(dataset.events.items):,} events"
    + (f" (counted: {left_out})" if left_out else "")
  )


def prepare(source: Source, settings: DataSettings) -> Dataset:
  """Reads, cleans, splits and encodes a source.

  Raises:
    UserError: if the files cannot be read, or nothing is left to train on.
  """
  cleaned = clean(_told(source.name, source.read()), settings)
  return from_cleaned(source.name, cleaned, settings)


def _told(name: str, records: Iterable[Record]) -> Iterator[Record]:
  """The records; says how far reading is, if it takes long.

  How much is left is not known: a file does not say how many rows it has.
  """
  begun = told = time.monotonic()
  count = 0
  for count, record in enumerate(records, 1):
    yield record
    if count % 1000 == 0 and time.monotonic() >= told + QUIET_SECONDS:
      told = time.monotonic()
      rate = count / (told - begun)
      say(f"{name}: {count:,} records read, {rate:,.0f} a second")
  if told > begun:
    say(f"{name}: all {count:,} records read, now cleaned and encoded")


def from_cleaned(
  name: str, cleaned: Cleaned, settings: DataSettings
) -> Dataset:
  """Splits and encodes clean records.

  Whatever is learned (which products there are, classes, words, scales) is
  learned from training events and from the products and people in them.
  """
  people = Vocabulary.sorted({event.person for event in cleaned.events})
  events, event_items = _events(cleaned.events, people)
  split = _split(events, settings)
  trains = np.arange(len(event_items)) < np.repeat(
    split.train_ends, np.diff(events.offsets)
  )
  items = Vocabulary.sorted(
    {event_items[event] for event in np.flatnonzero(trains)}
  )
  if not len(items):
    raise UserError(
      f"data '{name}'",
      f"found {len(event_items)} events after cleaning, none to train on",
      "at least one",
      "lower config.data.min_person_events or look at what was refused",
    )
  events = dataclasses.replace(events, items=items.indices(event_items))
  item_records = [cleaned.items.get(id, Item(id)) for id in items.ids]
  person_records = [cleaned.people.get(id, Person(id)) for id in people.ids]
  of_products = product_encodings(item_records, settings)
  of_people = person_encodings(
    [
      person_records[row]
      for row in np.flatnonzero(split.train_ends > events.offsets[:-1])
    ]
  )
  tags = next(
    (e.names for e in of_products if e.feature.name == "tags"), Vocabulary(())
  )
  encodings = of_products + of_people
  dataset = Dataset(
    name=name,
    fingerprint="",
    spec=_spec(len(items), len(tags), encodings, events.times),
    items=items,
    tags=tags,
    people=people,
    titles=tuple(item.title or item.id for item in item_records),
    events=events,
    train_ends=split.train_ends,
    valid=split.valid,
    test=split.test,
    product={e.feature.name: e.encode(item_records) for e in of_products},
    person={e.feature.name: e.encode(person_records) for e in of_people},
    counts=_counts(cleaned, item_records, events),
    encodings=encodings,
  )
  return dataclasses.replace(dataset, fingerprint=fingerprint(dataset))


def _events(
  cleaned: Sequence[Event], people: Vocabulary
) -> tuple[Interactions, list[str]]:
  """The events as arrays, and their item ids; no item is known yet."""
  rows = people.indices(event.person for event in cleaned)
  assert (np.diff(rows) >= 0).all(), "clean() sorts by person"
  counts = np.bincount(rows, minlength=len(people))
  times = [NO_TIME if e.time is None else e.time for e in cleaned]
  events = Interactions(
    offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
    items=np.full(len(cleaned), UNKNOWN, np.int32),
    times=np.array(times, np.int64),
  )
  return events, [event.item for event in cleaned]


def _split(events: Interactions, settings: DataSettings) -> Split:
  if settings.split == "global_time":
    return global_time(events.offsets, events.times, settings.held_out_fraction)
  return leave_one_out(events.offsets)


def _spec(
  num_items: int,
  num_tags: int,
  encodings: Sequence[Encoding],
  times: np.ndarray,
) -> Spec:
  features: list[Feature] = [encoding.feature for encoding in encodings]
  if (times != NO_TIME).any():
    features += MOMENT_FEATURES
  return Spec(num_items, num_tags, tuple(features))


def _counts(
  cleaned: Cleaned, items: Sequence[Item], events: Interactions
) -> dict[str, int]:
  """What cleaning counted and what was cut or set aside here."""
  own = {
    "events of products not in training": int((events.items < 0).sum()),
    f"products with more than {MAX_TAGS} tags": sum(
      len(set(item.tags)) > MAX_TAGS for item in items
    ),
  }
  return cleaned.counts | {reason: n for reason, n in own.items() if n}
