"""Films: the genres of a film, known by its words and keywords.

What: 9,700 films of MovieLens-latest-small with 19 genres; a tenth of them are
  kept for valid and a tenth for test. Read are title, description (a third of
  the films has one), TMDB's keywords and the year.
Source: hashed n-grams (fastText, Joulin et al. 2016), late fusion, and a loss
  over all tags.
Run: python -m experiments.train --config=configs/film_tags.py \
  --config.data.folder=FOLDER --workdir=runs/film_tags
Expect: clearly above nearest neighbours by words; a title alone says little.
Measured: P@5 .3301, PSP@5 .7082 on test, level with Omikuji, PECOS and SGD in
  the same run (docs/tag_peers.md); 16 s, commit 60da7db, 2026-11-25.
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

  config.model.product = ("ngrams", "keywords", "numbers")
  config.model.modality_dropout = 0.1
  config.model.width = 128
  config.model.hidden = 256
  config.model.layers = 1
  config.model.dropout = 0.5

  config.objective.tags = "multilabel_sigmoid"

  config.optimizer.learning_rate = 2e-3
  config.optimizer.content_learning_rate = 0.05
  config.optimizer.beta2 = 0.99

  config.pipeline.batch_rows = 128

  config.train.steps = 360
  config.train.evaluate_every = 60
  config.checkpoint.save_every = 60

  if variant == "tiny":
    base.shrink(config)
  return config
