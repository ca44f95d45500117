"""Artists in the order people listened to them: the next one.

What: 1,090 people, 3,646 artists, 52,551 events; leave one out, ranked over
  the whole catalogue. What people tagged an artist with is content.
Source: SASRec (Kang & McAuley 2018) with softmax and product vectors of id and
  tags.
Run: python -m experiments.train --config=configs/lastfm.py \
  --config.data.folder=FOLDER --workdir=runs/lastfm
Expect: recall@10 between .0688 (SASRec) and .0807 (BSARec), with an interval
  of ±.016: there are few people.
Measured: recall@10 .0716, ndcg@10 .0376 (test, strict), item-kNN .0761, .0400;
  commit b9e59d7, 2026-11-24, 3 minutes on 2 cores beside other work.
"""

import ml_collections

from configs import base


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The experiment, or with 'tiny' the same in seconds."""
  config = base.get_config()
  config.name = "lastfm"
  config.data.source = "s3rec"

  config.pipeline.row_length = 128
  config.pipeline.batch_rows = 4

  config.model.product = ("id", "tags")
  config.model.dropout = 0.5
  config.model.memory_weight = 0.3

  config.optimizer.schedule = "cosine"
  config.optimizer.warmup_steps = 100

  config.train.steps = 4000
  config.train.evaluate_every = 500

  if variant == "tiny":
    base.shrink(config)
  return config
