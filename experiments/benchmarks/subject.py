"""What is measured: the project's own settings for a SASRec on one data set."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from configs import base
from tagrec_jax import build
from tagrec_jax.core.settings import Settings
from tagrec_jax.data.dataset import (
  NO_TIME,
  Dataset,
  Interactions,
  Questions,
)
from tagrec_jax.data.spec import Spec
from tagrec_jax.data.vocab import Vocabulary

PEOPLE = 256  # whose questions one update of a peer sees


def settings(folder: str, **changes: Any) -> Settings:
  """The model of the peers, on the S3-Rec data of `folder` or the storefront.

  Args:
    changes: 'section__key' → value.
  """
  config = base.get_config()
  config.name = "benchmark"
  config.data.source = "s3rec" if folder else "storefront"
  config.data.folder = folder
  # As Beauty: 12,000 products, six training questions a person on average.
  config.data.shop_people = 22_000
  config.data.shop_items = 12_000
  config.data.shop_tags = 600
  config.data.shop_events = 9
  config.pipeline.begin_token = False
  config.pipeline.row_length = 64
  config.optimizer.name = "adam"
  config.evaluation.baselines = ()
  for name, value in changes.items():
    section, key = name.split("__")
    config[section][key] = value
  return build.settings(config.to_dict())


def made_up(people: int, items: int, events: int) -> Dataset:
  """People with equally many random events, all of them training.

  Only for timing: nothing can be learned, and ids and titles are left out.
  """
  total = people * events
  random = np.random.default_rng(0)
  nobody = Questions(np.zeros(0, np.int32), np.zeros(0, np.int64))
  empty = Vocabulary(())
  offsets = np.arange(people + 1, dtype=np.int64) * events
  return Dataset(
    name=f"made up: {people} people, {items} products, {events} events each",
    fingerprint="",
    spec=Spec(num_items=items, num_tags=0, features=()),
    items=empty,
    tags=empty,
    people=empty,
    titles=(),
    events=Interactions(
      offsets=offsets,
      items=random.integers(items, size=total, dtype=np.int32),
      times=np.full(total, NO_TIME, np.int64),
    ),
    train_ends=offsets[1:],
    valid=nobody,
    test=nobody,
    product={},
    person={},
    counts={},
  )


def fair_rows(chosen: Settings, prepared: Dataset) -> int:
  """Rows that hold as many questions as `PEOPLE` people have on average."""
  batches = build.train_batches(chosen, prepared, (0, 1))
  rows = batches.steps_per_epoch * chosen.pipeline.batch_rows
  starts = prepared.events.offsets[:-1] + (not chosen.pipeline.begin_token)
  people = int((prepared.train_ends > starts).sum())
  return max(1, round(PEOPLE * rows / people))


def write_events(prepared: Dataset, folder: pathlib.Path) -> pathlib.Path:
  """The file that peers read, in `folder`."""
  from experiments.peers import events

  folder.mkdir(parents=True, exist_ok=True)
  path = folder / "events.npz"
  events.write(prepared, path)
  return path
