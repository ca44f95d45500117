"""Hashtags for posts: the words of a person, for what a text says.

What: a made-up shop whose 600 people tag what they buy, 20 posts each: 120
  products of 8 kinds, known by their titles alone, so that also those are
  understood which nobody has tagged (a twentieth is kept out of training for
  valid, and again for test).
Source: tagrec_jax/data/sources/storefront_posts.py, of which the best possible
  ranking is known; models/poster.py with attention to earlier posts.
Run: python -m experiments.train --config=configs/hashtags.py \
  --workdir=runs/hashtags; for posts of your own (docs/posts.md) add
  --config.data.source=folder --config.data.folder=FOLDER
Expect: above all counts, close to the optimum.
Measured: f1@5 .3372, ndcg@10 .5998 (test, one seed), base-level learning
  .3226, .5588, the optimum .3490, .6069; commit 4f8209b, 2026-11-28, minutes on
  2 cores beside much other work. Chosen on valid (docs/posts.md).
"""

import ml_collections

from configs import base, hetrec_posts


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The experiment, or with 'tiny' the same in seconds."""
  config = hetrec_posts.get_config()
  config.name = "hashtags"
  config.data.source = "storefront"
  config.data.train_on_valid = False
  config.data.cold_items = 0.05
  config.data.shop_posts = True
  config.data.shop_people = 600
  config.data.shop_items = 120
  config.data.shop_tags = 8

  config.pipeline.row_length = 128
  config.pipeline.max_history = 64
  config.pipeline.batch_rows = 8

  config.model.product = ("text",)
  config.model.width = 32
  config.model.hidden = 64
  config.model.layers = 1
  config.model.members = 1
  config.model.recall = True

  config.train.steps = 400
  config.train.evaluate_every = 100
  config.checkpoint.save_every = 100

  if variant == "tiny":
    base.shrink(config)
    config.data.shop_people = 100
    config.data.shop_items = 40
  return config
