"""What is measured: the project's own settings for a SASRec on one data set."""

from __future__ import annotations

import pathlib
from typing import Any

from configs import base
from tagrec_jax import build
from tagrec_jax.core.settings import Settings
from tagrec_jax.data.dataset import Dataset

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
  config.pipeline.begin_token = False
  config.pipeline.row_length = 64
  config.optimizer.name = "adam"
  config.evaluation.baselines = ()
  for name, value in changes.items():
    section, key = name.split("__")
    config[section][key] = value
  return build.settings(config.to_dict())


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
