"""Games on the day they come out: the next game, also one without a review.

What: people of Steam with three reviews or more in order → the next game. A
  tenth of the games is kept out of training for valid and a tenth for test;
  they are known by title, tags, specs, price, year, developer and publisher,
  and stand in one list with all others.
Source: SASRec (Kang & McAuley 2018) with softmax over all games of training;
  product vectors of id and content, where parts are missing at times
  (DropoutNet, Volkovs et al. 2017), so that games without an id are understood.
Run: python -m experiments.train --config=configs/new_games.py \
  --config.data.folder=FOLDER --workdir=runs/new_games
Expect: answers that reach games without a review, of which the id alone
  (`new_games.py:id`) finds none, for a little less of other games.
Measured: recall@10 .1629 on new games, .2353 on others, .2116 on all; id alone
  0, .2520 and .1697 (test); commit 54758fb, 2026-11-25, 1 minute on 2 cores.
"""

import ml_collections

from configs import base


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The experiment; 'id': games known by id alone; 'tiny': in seconds."""
  config = base.get_config()
  config.name = "new_games"
  config.data.source = "steam"
  config.data.min_person_events = 3
  config.data.cold_items = 0.1
  config.data.ngram_buckets = 16384
  config.data.ngram_width = 64

  config.pipeline.max_history = 32
  config.pipeline.row_length = 64
  config.pipeline.batch_rows = 16

  config.model.product = (
    *("id", "ngrams", "tags", "specs"),
    *("numbers", "brand", "publisher"),
  )
  config.model.modality_dropout = 0.3
  config.model.width = 64
  config.model.heads = 1
  config.model.dropout = 0.3

  config.optimizer.learning_rate = 2e-3
  config.optimizer.content_learning_rate = 0.05
  config.optimizer.schedule = "cosine"
  config.optimizer.warmup_steps = 50
  config.optimizer.weight_decay = 0.1

  config.train.steps = 500
  config.train.evaluate_every = 100
  config.checkpoint.save_every = 100

  if variant == "id":
    config.name = "new_games-id"
    config.model.product = ("id",)
    config.model.modality_dropout = 0.0
  if variant == "tiny":
    base.shrink(config)
  return config
