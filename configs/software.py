"""A catalogue of software: the tags of a package, known by its content alone.

What: 30,296 packages of Debian 12 with 572 tags of the debtags vocabulary;
  tenths of the packages, whole source packages at a time, are kept for valid
  and for test.
Source: n-grams of name, synopsis and description (fastText, Joulin et al.
  2016), section, maintainer, priority and sizes; a residual head; each right
  tag against the wrong ones; three members that answer together.
Run: python -m experiments.train --config=configs/software.py \
  --config.data.folder=FOLDER --workdir=runs/software
Expect: above Omikuji, PECOS and fastText in the same run, see the README.
Measured: P@1 .9394, P@5 .4876, PSP@5 .7044 on valid; commit 6bb9474,
  2026-11-28, 229 s of processor time.
"""

import ml_collections

from configs import base


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The experiment, or with 'tiny' the same in seconds."""
  config = base.get_config()
  base.tags_of_products(config)
  config.name = "software"
  config.data.source = "debian_debtags"
  config.data.ngram_buckets = 65536
  config.data.ngram_width = 224

  config.pipeline.batch_rows = 256

  config.model.product = (
    *("ngrams", "title", "section", "brand", "priority"),
    *("app_categories", "numbers"),
  )
  config.model.width = 384
  config.model.hidden = 1024
  config.model.layers = 1
  config.model.dropout = 0.3
  config.model.members = 3

  config.objective.tags = "decoupled_softmax"
  config.objective.propensity_weight = 0.2

  config.optimizer.learning_rate = 2e-3
  config.optimizer.content_learning_rate = 0.05
  config.optimizer.beta2 = 0.99

  config.train.steps = 380
  config.train.evaluate_every = 95
  config.checkpoint.save_every = 95

  if variant == "tiny":
    base.shrink(config)
  return config
