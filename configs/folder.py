"""Your own shop: plain tables in a folder.

What: items, events and people as CSV, JSONL or Parquet → the next product, and
  its tags.
Source: the quick start's model; content lets products with few events share
  what is known of others.
Run: python -m experiments.train --config=configs/folder.py \
  --config.data.folder=FOLDER --workdir=runs/shop
Expect: depends on the data; look whether it beats the baselines in its tables.
Measured: not yet measured.
"""

import ml_collections

from configs import base


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The experiment, or with 'tiny' the same in seconds."""
  config = base.get_config()
  config.name = "folder"
  config.data.source = "folder"
  config.data.min_person_events = 3

  config.pipeline.long_histories = "chunks"

  config.model.product = ("id", "tags", "text")

  config.objective.tags_weight = 0.1

  config.optimizer.schedule = "cosine"
  config.optimizer.warmup_steps = 50
  config.optimizer.weight_decay = 0.01

  config.train.steps = 2000

  if variant == "tiny":
    base.shrink(config)
  return config
