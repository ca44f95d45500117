"""Tags as memory keeps them: those used often, and not long ago."""

from __future__ import annotations

import dataclasses

from tagrec_jax.data.dataset import Dataset
from tagrec_jax.models.baselines import posts


@dataclasses.dataclass(frozen=True)
class BaseLevel:
  """Base-level learning and the product's own tags: BLL+C.

  A tag that the person gave some seconds t_1, t_2, ... before this post has
  the activation ln Σ t_j^-decay. Its softmax over the person's tags is
  mixed with the tag's share of the assignments to the product.

  Attributes:
    decay: d of the equation.
    weight: of the person's own tags, the β of the paper.

  The values are those of the paper.

  Source: Kowald, Seitlinger, Trattner and Ley, 2014, 'Long time no see: the
  probability of reusing tags as a function of frequency and recency',
  equations 1 to 3, after Anderson's ACT-R.
  """

  decay: float = 0.5
  weight: float = 0.5

  def fit(self, dataset: Dataset) -> posts.OwnAndProducts:
    # The softmax of logarithms is the share in what they are taken of.
    return posts.OwnAndProducts.of(dataset, self.weight, self.decay)
