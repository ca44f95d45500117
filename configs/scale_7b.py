"""A transformer of 7 billion parameters over tables of 100 million products.

What: 32 blocks of width 4096 (6.4 billion parameters); 410 billion in a table
  of products and 41 billion in one of 10 million tags, of which products are
  made besides. Blocks are turns of a loop, and are computed again for their
  gradients. All else as configs/scale_100m.py.
Source: the shape of GPT-3 6.7B (Brown et al. 2020, arXiv:2005.14165, table
  2.1).
Run: python -m experiments.compile_tpu --config=configs/scale_7b.py \
  --topology=v6e:16x16 --products=100000000 --tags=10000000 --steps=train \
  --output=docs/scale
Expect: to fit into 256 chips of v6e, or 128 of v5p with tensor=4.
Measured: never run on a TPU. By its compiler a step takes 26.2 of the 32 GiB of
  each of 256 chips of v6e, bound by exchanges at 45 to 102 ms, modelled, and
  48.4 of the 95 GiB of 128 of v5p; commit 1c99cfa, 2026-11-28, docs/scale/.
"""

import ml_collections

from configs import base, scale_100m


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The experiment, or with 'tiny' the same in seconds."""
  config = scale_100m.get_config(variant)
  config.name = "scale_7b"
  config.data.shop_items = 100_000_000
  config.data.shop_tags = 10_000_000
  config.pipeline.batch_rows = 256
  config.model.product = ("id", "tags")
  config.model.width = 4096
  config.model.layers = 32
  config.model.heads = 32
  config.model.hidden = 16_384
  config.model.remat = "block"
  config.optimizer.learning_rate = 1.2e-4
  if variant == "tiny":
    base.shrink(config)
  else:
    # 256 chips; as in scale_100m, a device has 128 numbers of a row.
    config.sharding.fsdp = 32
    config.sharding.tensor = 8
  return config
