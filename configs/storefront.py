"""A made-up shop of which the best possible ranking is known.

What: people whose taste drifts buy by taste and by the hour; nobody can rank
  better than the process that made the data.
Source: tagrec_jax/data/sources/storefront.py.
Run: python -m experiments.train --config=configs/storefront.py \
  --workdir=runs/storefront
Expect: close to the optimum that tests/test_storefront.py computes.
Measured: recall@10 .4870, ndcg@10 .2897 (test, strict), the optimum .5865,
  .3672; true hours gain .1323 of ndcg@10 over shuffled ones, for the optimum
  .1714; commit 1077837, 2026-11-28, 8 minutes beside much other work.
"""

import ml_collections

from configs import base


def get_config(variant: str = "") -> ml_collections.ConfigDict:
  """The experiment, or with 'tiny' the same in seconds."""
  config = base.get_config()
  config.name = "storefront"
  config.data.source = "storefront"

  config.model.product = ("id", "tags")
  config.model.moment = ("hour",)

  config.objective.tags_weight = 0.1

  if variant == "tiny":
    base.shrink(config)
  return config
