"""A shop of games: the tags of a game, known by what its page lists.

What: games of the Steam store with their tags; a tenth of them, whole series at
  a time, are kept for valid and for test. Read are title, what the store says
  a game has (specs: 'Co-op', 'Full controller support'), price, year and
  critics' score, developer and publisher. Genres are never read: 99 % of them
  are tags too.
Source: hashed n-grams (fastText, Joulin et al. 2016), late fusion, and a loss
  over all tags. Games: Kang and McAuley, 2018.
Run: python -m experiments.train --config=configs/steam.py \
  --config.data.folder=FOLDER --workdir=runs/steam
Expect: every modality adds to the others, see docs/products.md.
Measured: P@5 .4905 (.4815 to .4985), PSP@5 .5513 on test, 9 s of training on
  two shared cores (commit 59a80a2, 2026-11-25).
"""

import ml_collections

from configs import base


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The experiment, or with 'tiny' the same in seconds."""
  config = base.get_config()
  base.tags_of_products(config)
  config.name = "steam"
  config.data.source = "steam"
  config.data.ngram_buckets = 16384
  config.data.ngram_width = 64

  config.model.product = ("ngrams", "specs", "numbers", "brand", "publisher")
  config.model.fusion = "sum"
  config.model.modality_dropout = 0.1
  config.model.width = 128
  config.model.hidden = 256
  config.model.layers = 1
  config.model.heads = 4
  config.model.dropout = 0.3

  config.objective.tags = "multilabel_sigmoid"

  config.optimizer.learning_rate = 2e-3
  config.optimizer.content_learning_rate = 0.05
  config.optimizer.beta2 = 0.99

  config.pipeline.batch_rows = 256

  config.train.steps = 400
  config.train.evaluate_every = 200
  config.checkpoint.save_every = 200

  if variant == "tiny":
    base.shrink(config)
  return config
