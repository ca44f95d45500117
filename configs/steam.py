"""A shop of games: the tags of a game, known by what its page lists.

What: games of the Steam store with their tags; a tenth of them, whole series at
  a time, are kept for valid and for test. Read are title, what the store says
  a game has (specs: 'Co-op', 'Full controller support'), price, year and
  critics' score, developer and publisher. Genres are never read: 99 % of them
  are tags too.
Source: hashed n-grams (fastText, Joulin et al. 2016), late fusion, each right
  tag against the wrong ones (Gupta et al. 2024), three members that answer
  together, and products that vote (Khandelwal et al. 2020). Games: Kang and
  McAuley, 2018.
Run: python -m experiments.train --config=configs/steam.py \
  --config.data.folder=FOLDER --workdir=runs/steam
Expect: every modality adds to the others, see docs/products.md; above Omikuji,
  PECOS and fastText, see docs/tag_peers.md.
Measured: P@1 .8883, P@5 .5225, PSP@5 .6109 on valid, where the best peer has
  P@5 .5138 and PSP@5 .5950 (Omikuji); commit d8467f3, 2026-11-28.
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

  config.model.product = (
    *("ngrams", "title", "specs", "numbers"),
    *("brand", "publisher"),
  )
  config.model.fusion = "sum"
  config.model.width = 384
  config.model.hidden = 1024
  config.model.layers = 1
  config.model.heads = 4
  config.model.dropout = 0.5
  config.model.members = 3
  config.model.neighbours = 100

  config.objective.tags = "decoupled_softmax"
  config.objective.propensity_weight = 0.2

  config.optimizer.learning_rate = 2e-3
  config.optimizer.content_learning_rate = 0.1
  config.optimizer.beta2 = 0.99

  config.pipeline.batch_rows = 256

  config.train.steps = 400
  config.train.evaluate_every = 200
  config.checkpoint.save_every = 200

  if variant == "tiny":
    base.shrink(config)
  return config
