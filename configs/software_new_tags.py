"""Tags that no package of training has, known by their own text.

What: as `configs/software.py`, with a tenth of the tags taken from all
  packages of training; they are asked for among all others at valid and test.
Source: tags and packages read by one encoder, so that a tag's text asks for
  packages that say the same (DeViSE, 2013, with text for images).
Run: python -m experiments.train --config=configs/software_new_tags.py \
  --config.data.folder=FOLDER --workdir=runs/software_new_tags
Expect: on tags never trained, above the similarity of words; on others as good
  as `configs/software.py`.
Measured: recall@10 of unseen tags .3686 among all, .5585 among unseen alone
  (test; similarity of words .2612, .4620); precision@1 of all tags .8348;
  2026-11-25, 6 minutes on 2 cores beside other work.
"""

import ml_collections

from configs import base, software


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The experiment, or with 'tiny' the same in seconds."""
  config = software.get_config()
  config.name = "software_new_tags"
  config.data.cold_tags = 0.1

  config.model.product = ("ngrams",)
  config.model.members = 1
  config.model.tag_vectors = "both"
  config.model.tag_dropout = 0.5
  config.model.width = 256

  config.objective.tags = "multilabel_sigmoid"
  config.objective.propensity_weight = 0.0

  config.train.steps = 570

  if variant == "tiny":
    base.shrink(config)
  return config
