"""A raw source → a prepared data set, made once and found again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import re
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from tagrec_jax.core import paths
from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.files import sha256
from tagrec_jax.core.log import say
from tagrec_jax.core.settings import DataSettings
from tagrec_jax.data import store
from tagrec_jax.data.beam_engine import Beam
from tagrec_jax.data.bounds import check_rows
from tagrec_jax.data.catalogue import Catalogue, choose
from tagrec_jax.data.clean import Cleaned, clean
from tagrec_jax.data.cold import ColdItems, cold_items
from tagrec_jax.data.dataset import NO_TIME, Dataset, Interactions
from tagrec_jax.data.encoded import encode
from tagrec_jax.data.encodings import MAX_TAGS
from tagrec_jax.data.event_log import EventColumns, EventLog, QuickSource
from tagrec_jax.data.fingerprint import fingerprint
from tagrec_jax.data.histories import Histories, histories
from tagrec_jax.data.lists import Lists, ranges
from tagrec_jax.data.moments import MOMENT_FEATURES
from tagrec_jax.data.order import met
from tagrec_jax.data.records import Record, Source
from tagrec_jax.data.spec import Feature, Spec
from tagrec_jax.data.spill import Spill
from tagrec_jax.data.tokenizer import read_tokenizer
from tagrec_jax.data.vocab import Vocabulary

VERSION = 6
"""Raised whenever the same files would give other prepared data."""

QUIET_SECONDS = 10.0
"""Between two lines for those who wait."""


def open_or_prepare(
  source: Source,
  settings: DataSettings,
  *,
  log: Callable[[str], None] | None = None,
  beam: Beam | None = None,
) -> Dataset:
  """The prepared data of a source: read if it exists, else made and kept.

  It is looked for under the contents of the source's files, the settings that
  matter and the version of this code, so it is never out of date. Several
  processes may do this at once.

  Args:
    log: takes one line that says what was done; by default it goes to stderr.
    beam: whose workers write what is prepared; None: this process does.

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
    _make(source, settings, folder, beam)
    dataset, done = store.read(folder), "prepared"
  check_rows(dataset)
  told = f"{done} {_summary(dataset)} in {folder}"
  if (folder / store.REJECTIONS).exists():
    told += f"; what was refused: {store.REJECTIONS} there"
  log(told)
  return dataset


def _make(
  source: Source,
  settings: DataSettings,
  folder: pathlib.Path,
  beam: Beam | None,
) -> None:
  """Nothing of what was read is in memory any more when this is done."""
  cleaned = _cleaned(source, settings)
  made = from_cleaned(source.name, cleaned, settings)
  rejections = cleaned.rejections
  del cleaned  # its events are the largest part
  store.write(made, folder, rejections, beam)


def _key(source: Source, settings: DataSettings) -> str:
  """Names what prepared data depends on; where files are does not matter."""
  values = {
    name: value
    for name, value in dataclasses.asdict(settings).items()
    if name not in ("folder", "cache_dir") and not name.startswith("shop_")
  }
  if settings.pretrained_text:
    values["pretrained_text"] = read_tokenizer(settings.pretrained_text)
  files = []
  for path in source.files():
    try:
      digest = sha256(path)
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
  new = len(dataset.new_items)
  return (
    f"{dataset.name}: {len(dataset.people):,} people, {len(dataset.items):,}"
    f" products{f' and {new:,} new ones' if new else ''},"
    f" {len(dataset.events.items):,} events"
    + (f" (counted: {left_out})" if left_out else "")
  )


def prepare(source: Source, settings: DataSettings) -> Dataset:
  """Reads, cleans, splits and encodes a source.

  Raises:
    UserError: if the files cannot be read, or nothing is left to train on.
  """
  return from_cleaned(source.name, _cleaned(source, settings), settings)


def _cleaned(source: Source, settings: DataSettings) -> Cleaned:
  if isinstance(source, QuickSource):
    return clean(_told(source.name, source.read_quickly()), settings)
  return clean(_told(source.name, source.read()), settings)


def _told(
  name: str, records: Iterable[Record | EventColumns]
) -> Iterator[Record | EventColumns]:
  """The records; says how far reading is, if it takes long.

  How much is left is not known: a file does not say how many rows it has.
  """
  begun = told = time.monotonic()
  count = looked = 0
  for record in records:
    yield record
    count += len(record) if isinstance(record, EventColumns) else 1
    if count >= looked + 1000:
      looked = count
      if time.monotonic() >= told + QUIET_SECONDS:
        told = time.monotonic()
        rate = count / (told - begun)
        say(f"{name}: {count:,} records read, {rate:,.0f} a second")
  if told > begun:
    say(f"{name}: all {count:,} records read, now cleaned and encoded")


def from_cleaned(
  name: str, cleaned: Cleaned, settings: DataSettings
) -> Dataset:
  """Splits and encodes clean records.

  Whatever is learned (which products and tags there are, classes, words,
  scales) is learned from training events, and from the products, their tags
  and the people of training.

  Raises:
    UserError: if there is no product to train on.
  """
  cold = cold_items(tuple(cleaned.items.values()), settings.cold_items)
  kept = histories(cleaned.events, cold, settings)
  chosen = _chosen(cleaned, kept, cold, settings)
  if not chosen.items:
    raise _nothing_to_train_on(name, cleaned, settings)
  items = Vocabulary([item.id for item in chosen.items])
  new_items = Vocabulary([item.id for item in chosen.new_items])
  all_items = items.extended(new_items.ids)
  encoded = encode(chosen, cleaned, kept, settings)
  rows, not_trained = _rows(kept.events, all_items, len(items))
  posted = _posted(kept.events, chosen)
  events = Interactions(kept.offsets, rows, kept.times, posted, encoded.moment)
  asked = [item.id for item in chosen.new_items if item.tags]
  dataset = Dataset(
    name=name,
    fingerprint="",
    spec=Spec(
      len(items),
      len(chosen.tags),
      encoded.features + _moment_features(events.times),
      len(new_items),
      len(chosen.new_tags),
    ),
    items=items,
    tags=chosen.tags,
    people=kept.people,
    titles=tuple(item.title or item.id for item in chosen.all_items),
    events=events,
    train_ends=kept.split.train_ends,
    valid=kept.split.valid,
    test=kept.split.test,
    product=encoded.product,
    person=encoded.person,
    counts=cleaned.counts
    | kept.counts
    | chosen.counts
    | _counts(chosen, cold, not_trained, _posts(kept.events), posted)
    | encoded.counts,
    encodings=encoded.encodings,
    new_items=new_items,
    new_tags=chosen.new_tags,
    valid_items=all_items.indices(id for id in asked if id in cold.valid),
    test_items=all_items.indices(id for id in asked if id in cold.test),
    tag=encoded.tag,
  )
  return dataclasses.replace(dataset, fingerprint=fingerprint(dataset))


def _chosen(
  cleaned: Cleaned, kept: Histories, cold: ColdItems, settings: DataSettings
) -> Catalogue:
  log = kept.events
  ids = log.items.ids.to_pylist()
  trained = np.zeros(len(ids), bool)
  posted: tuple[set[tuple[str, str]], ...] = set(), set()  # held out, trained
  for rows, trains in kept.parts():
    trained[rows["item"][trains]] = True
    talks = np.flatnonzero(rows["said"])
    said = [log.said[number][0] for number in rows["said"][talks].tolist()]
    items = rows["item"][talks].tolist()
    for item, tags, trains_it in zip(
      items, said, trains[talks].tolist(), strict=True
    ):
      posted[trains_it].update((ids[item], tag) for tag in tags)
  return choose(
    cleaned.items,
    trained={ids[number] for number in np.flatnonzero(trained).tolist()},
    taken={
      ids[number] for number in np.flatnonzero(met(cleaned.events)).tolist()
    },
    cold=cold,
    settings=settings,
    posted=posted[True],
    held_out=posted[False],
  )


def _nothing_to_train_on(
  name: str, cleaned: Cleaned, settings: DataSettings
) -> UserError:
  found = f"found {len(cleaned.events)} events after cleaning"
  if settings.catalogue == "described":
    return UserError(
      f"data '{name}'",
      f"{found} and {len(cleaned.items)} products, none to train on",
      "at least one product with a tag",
      "lower config.data.min_tag_items or look at what was refused",
    )
  return UserError(
    f"data '{name}'",
    f"{found}, none to train on",
    "at least one",
    "lower config.data.min_person_events or look at what was refused",
  )


def _moment_features(times: np.ndarray) -> tuple[Feature, ...]:
  return tuple(MOMENT_FEATURES) if (times != NO_TIME).any() else ()


def _rows(
  events: EventLog, items: Vocabulary, trained: int
) -> tuple[np.ndarray, int]:
  """The row of each event's product, int32 [E]; UNKNOWN if it has none.

  Args:
    trained: rows of training.

  Returns:
    The rows, and how many are not of training.
  """
  row_of = items.indices(events.items.ids.to_pylist())
  found, others = Spill(np.int32, events.folder), 0
  for part in events.parts():
    rows = row_of[part["item"]]
    found.append(rows)
    others += int(((rows < 0) | (rows >= trained)).sum())
  return found.array(), others


def _posted(events: EventLog, chosen: Catalogue) -> Lists | None:
  """The rows of the tags of each event, without tags that have none."""
  tags = chosen.tags.extended(chosen.new_tags.ids)
  known = [
    [row for row in tags.indices(given).tolist() if row != UNKNOWN]
    for given, _ in events.said
  ]
  said = Lists.of(
    np.array([row for rows in known for row in rows], np.int32),
    np.array([len(rows) for rows in known], np.int64),
  )
  if not len(said.values):
    return None
  lengths, values = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
  for part in events.parts():
    first, last = said.offsets[part["said"]], said.offsets[part["said"] + 1]
    lengths.append(last - first)
    _, places = ranges(first, last)
    values.append(said.values[places])
  if not any(map(len, values)):
    return None
  return Lists.of(np.concatenate(values), np.concatenate(lengths))


def _posts(events: EventLog) -> int:
  """Tags of all events."""
  lengths = np.array([len(tags) for tags, _ in events.said], np.int64)
  return sum(int(lengths[part["said"]].sum()) for part in events.parts())


def _counts(
  chosen: Catalogue,
  cold: ColdItems,
  not_trained: int,
  posts: int,
  posted: Lists | None,
) -> dict[str, int]:
  """What was cut or set aside here.

  Args:
    not_trained: events of products that do not train.
    posts: tags of events, of which `posted` are left.
  """
  own = {
    "products kept out of training": len(cold.valid) + len(cold.test),
    "events of products not in training": not_trained,
    f"products with more than {MAX_TAGS} tags": sum(
      len(set(item.tags)) > MAX_TAGS for item in chosen.all_items
    ),
    "tags left out of posts": posts - (len(posted.values) if posted else 0),
  }
  return {reason: n for reason, n in own.items() if n}
