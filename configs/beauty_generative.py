"""Beauty products, named by codes: the next one is written, not ranked.

What: the people and products of configs/amazon_beauty.py; a product is three
  codes of its neighbours in histories and its tags, and one that tells it from
  others of the same codes; a decoder writes them after each history.
Source: TIGER (Rajput et al. 2023), with k-means instead of an autoencoder, the
  history read as products instead of codes, and a loss in which a code competes
  only with those that lead on to a product.
Run: python -m experiments.train --config=configs/beauty_generative.py \
  --config.data.folder=FOLDER --workdir=runs/beauty_generative
Expect: recall@10 of .0648 and ndcg@10 of .0384 on test (TIGER).
Measured: recall@10 .0594 [.0566, .0624], ndcg@10 .0307 [.0288, .0323] (test,
  strict, one seed), below TIGER and below the ranking decoder on the same
  encoder (.0827 / .0462); on valid .0785 / .0419. Commit 2b890da, 2026-11-28,
  16 minutes beside much other work. Tried besides, on valid: codes read by a
  table of their own (like it), dropout .5 (worse after 4,000 steps).
"""

import ml_collections

from configs import amazon_beauty, base


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The experiment, or with 'tiny' the same in seconds."""
  config = amazon_beauty.get_config()
  config.name = "beauty_generative"
  config.model.history = "transformer"
  config.model.memory_weight = 0.0
  config.model.decoder = "sequence"
  config.model.dropout = 0.3
  config.model.beams = 64
  config.model.code_vectors = ("events", "tags")
  config.objective.items = "softmax"
  config.train.steps = 8000
  config.train.evaluate_every = 2000
  config.checkpoint.save_every = 2000
  config.evaluation.max_valid_people = 4000

  if variant == "tiny":
    base.shrink(config)
    config.model.beams = 16
    config.model.code_size = 16
  return config
