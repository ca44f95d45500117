"""A transformer of 0.1 billion parameters over a table of ten million products.

What: 8 blocks of width 1024 (101 million parameters) and 10.2 billion in a
  table whose rows are split over 16 chips; a step reads and writes only the
  rows it needs. To be compiled for TPUs, not to be trained on one machine.
Source: BERT-large's blocks (Devlin et al. 2019, arXiv:1810.04805, section 3), a
  third of them; data: tagrec_jax/data/sources/storefront.py.
Run: python -m experiments.compile_tpu --config=configs/scale_100m.py \
  --topology=v5e:4x4 --products=10000000 --output=docs/scale
Expect: to fit into the 16 GiB of a v5e chip.
Measured: never run on a TPU. By its compiler a step takes 8.6 of the 16 GiB,
  bound by memory at 8.6 to 17 ms, modelled; commit 1c99cfa, 2026-11-28,
  docs/scale/.
"""

import ml_collections

from configs import base


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The experiment, or with 'tiny' the same in seconds."""
  config = base.get_config()
  config.name = "scale_100m"
  config.data.source = "storefront"
  config.data.shop_people = 10_000_000
  config.data.shop_items = 10_000_000
  config.data.split = "global_time"
  config.data.held_out_fraction = 0.0005
  config.data.text_vocabulary = 0

  config.pipeline.max_history = 50
  config.pipeline.row_length = 256
  config.pipeline.batch_rows = 64

  # A device has 128 numbers of a row: the lanes of a TPU, whose compiler
  # otherwise turns the table for each step (docs/compiled.md).
  config.model.width = 1024
  config.model.layers = 8
  config.model.heads = 16
  config.model.hidden = 4096
  config.model.dropout = 0.1
  config.model.positions = "rotary"
  config.model.compute_dtype = "bfloat16"
  config.model.scan_layers = True

  config.objective.items = "sampled_softmax"
  config.objective.negatives = 8192

  config.optimizer.tables = "lazy"
  config.optimizer.learning_rate = 3e-4
  config.optimizer.schedule = "cosine"
  config.optimizer.warmup_steps = 1000

  config.train.steps = 100_000
  config.train.evaluate_every = 10_000
  config.checkpoint.save_every = 2000
  config.evaluation.batch_people = 32
  config.evaluation.max_valid_people = 1000
  config.evaluation.baselines = ("popularity",)

  # 16 chips; more of them go to 'data'.
  config.sharding.preset = "fsdp_tensor"
  config.sharding.fsdp = 8
  config.sharding.tensor = 2

  if variant == "tiny":
    base.shrink(config)
    config.data.held_out_fraction = 0.02
    config.sharding.preset = "data"
    config.sharding.fsdp = 1
    config.sharding.tensor = 1
  return config
