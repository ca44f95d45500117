"""Films, also those that nobody has rated yet.

What: 610 people's ratings in order → the next film. A tenth of the films is
  kept out of training for valid and a tenth for test; they are known by title,
  description, genres, keywords and year, and are asked for among all others.
Source: SASRec (Kang & McAuley 2018) with a sampled softmax; product vectors of
  id and content, where parts are missing at times (DropoutNet, Volkovs et al.
  2017), so that films without an id are understood.
Run: python -m experiments.train --config=configs/films.py \
  --config.data.folder=FOLDER --workdir=runs/films
Expect: better than the id alone (`films.py:id`) on films of training; new
  films are understood, but hardly ever among the first ten.
Measured: recall@10 .0815 on films of training, id alone .0622; new films 0
  of 144 for both (test); 2026-11-25, 9 minutes on 2 cores beside other work.
"""

import ml_collections

from configs import base


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The experiment; 'id': products known by id alone; 'tiny': in seconds."""
  config = base.get_config()
  config.name = "films"
  config.data.source = "movielens"
  config.data.cold_items = 0.1
  config.data.ngram_buckets = 32768
  config.data.ngram_width = 64

  config.pipeline.long_histories = "chunks"
  config.pipeline.max_history = 50
  config.pipeline.row_length = 128
  config.pipeline.batch_rows = 8

  config.model.product = ("id", "ngrams", "tags", "keywords", "numbers")
  config.model.modality_dropout = 0.3
  config.model.width = 64
  config.model.heads = 1
  config.model.dropout = 0.3

  config.objective.items = "sampled_softmax"
  config.objective.negatives = 768

  config.optimizer.learning_rate = 2e-3
  config.optimizer.content_learning_rate = 0.05
  config.optimizer.schedule = "cosine"
  config.optimizer.warmup_steps = 50
  config.optimizer.weight_decay = 0.1

  config.train.steps = 1200
  config.train.evaluate_every = 300
  config.checkpoint.save_every = 300

  if variant == "id":
    config.name = "films-id"
    config.model.product = ("id",)
    config.model.modality_dropout = 0.0
  if variant == "tiny":
    base.shrink(config)
  return config
