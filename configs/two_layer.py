"""The two-layer encoder-decoder: which films, in no order, say the next one.

What: multi-hot history → 128 rectified units → softmax over all films of
  MovieLens-100K. A baseline: no order, no content, no moment.
Source: an autoencoder-like recommender as described in many introductions,
  with one softmax (inside the cross-entropy) and the target in the loss.
Run: python -m experiments.train --config=configs/two_layer.py \
  --workdir=runs/two_layer
Expect: above popularity, below the quick start.
Measured: recall@10 .1686, ndcg@10 .0860 (test, strict); commit ed4cfe8,
  2026-11-24, one minute on 2 cores.
"""

import ml_collections

from configs import base


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The experiment, or with 'tiny' the same in seconds."""
  config = base.get_config()
  config.name = "two_layer"
  config.data.source = "movielens_100k"

  config.pipeline.long_histories = "chunks"
  config.pipeline.max_history = 100

  config.model.history = "multi_hot"
  config.model.width = 128
  config.model.tie_products = False
  config.model.dropout = 0.5

  config.optimizer.weight_decay = 0.01

  config.train.steps = 1000
  config.train.evaluate_every = 100

  if variant == "tiny":
    base.shrink(config)
  return config
