"""A transformer of 1 billion parameters over a table of 20 million products.

What: 20 blocks of width 2048 (1.0 billion parameters) and 41 billion in a table
  whose rows are split over 64 chips. All else as configs/scale_100m.py.
Source: the shape of GPT-3 XL (Brown et al. 2020, arXiv:2005.14165, table 2.1)
  with 20 blocks in the place of 24.
Run: python -m experiments.compile_tpu --config=configs/scale_1b.py \
  --topology=v6e:8x8 --products=20000000 --steps=train,serve \
  --output=docs/scale
Expect: to fit into the 32 GiB of a v6e chip.
Measured: never run on a TPU. By its compiler a step takes 11.8 of the 32 GiB,
  bound by memory at 17 to 31 ms, modelled; commit 1c99cfa, 2026-11-28,
  docs/scale/.
"""

import ml_collections

from configs import base, scale_100m


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The experiment, or with 'tiny' the same in seconds."""
  config = scale_100m.get_config(variant)
  config.name = "scale_1b"
  config.data.shop_items = 20_000_000
  config.pipeline.batch_rows = 128
  config.model.width = 2048
  config.model.layers = 20
  config.model.heads = 16
  config.model.hidden = 8192
  config.optimizer.learning_rate = 2e-4
  if variant == "tiny":
    base.shrink(config)
  else:
    # As in scale_100m, a device has 128 numbers of a row.
    config.sharding.fsdp = 16
    config.sharding.tensor = 4
  return config
