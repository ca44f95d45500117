"""Films: the genres of a film, known by its words and keywords.

What: 9,700 films of MovieLens-latest-small with 19 genres; a tenth of them are
  kept for valid and a tenth for test. Read are title, description (a third of
  the films has one), TMDB's keywords and the year.
Source: hashed n-grams (fastText, Joulin et al. 2016), late fusion, each right
  tag against the wrong ones (Gupta et al. 2024), three members that answer
  together.
Run: python -m experiments.train --config=configs/film_tags.py \
  --config.data.folder=FOLDER --workdir=runs/film_tags
Expect: above Omikuji, PECOS and fastText; a title alone says little.
Measured: P@1 .6544, P@5 .3417, PSP@5 .7358 on test; P@5 .0135 and PSP@5 .0300
  above the best of fastText, Omikuji, PECOS and SGD in the same run
  (docs/tag_peers.md); 154 s on 2 cores beside other work, commit 7c30ed4,
  2026-11-28.
"""

import ml_collections

from configs import base


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The experiment, or with 'tiny' the same in seconds."""
  config = base.get_config()
  base.tags_of_products(config)
  config.name = "film_tags"
  config.data.source = "movielens"
  config.data.ngram_buckets = 32768
  config.data.ngram_width = 192

  config.model.product = ("ngrams", "title", "keywords", "numbers")
  config.model.modality_dropout = 0.1
  config.model.width = 128
  config.model.hidden = 256
  config.model.layers = 1
  config.model.dropout = 0.5
  config.model.members = 3

  config.objective.tags = "decoupled_softmax"
  config.objective.propensity_weight = 0.2

  config.optimizer.learning_rate = 2e-3
  config.optimizer.content_learning_rate = 0.05
  config.optimizer.beta2 = 0.99

  config.pipeline.batch_rows = 128

  config.train.steps = 180
  config.train.evaluate_every = 30
  config.checkpoint.save_every = 60

  if variant == "tiny":
    base.shrink(config)
  return config
