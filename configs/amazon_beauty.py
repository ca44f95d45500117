"""Beauty products in the order people reviewed them: the next one.

What: 22,363 people, 12,101 products, 198,502 events; leave one out, ranked
  over the whole catalogue.
Source: SASRec (Kang & McAuley 2018) trained with softmax instead of binary
  cross-entropy.
Run: python -m experiments.train --config=configs/amazon_beauty.py \
  --config.data.folder=FOLDER --workdir=runs/beauty
Expect: recall@10 of .0921 and ndcg@10 of .0531 on test (SASRec with sampled
  softmax, as the README of eSASRec reports it).
Measured: not yet measured.
"""

import ml_collections

from configs import base


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The experiment, or with 'tiny' the same in seconds."""
  config = base.get_config()
  config.name = "amazon_beauty"
  config.data.source = "s3rec"

  config.pipeline.row_length = 128
  config.pipeline.batch_rows = 16
  config.pipeline.begin_token = False

  config.model.width = 128
  config.model.hidden = 512
  config.model.dropout = 0.5

  config.optimizer.learning_rate = 3e-3
  config.optimizer.weight_decay = 0.1

  config.train.steps = 4000
  config.train.evaluate_every = 250
  config.checkpoint.save_every = 250

  if variant == "tiny":
    base.shrink(config)
  return config
