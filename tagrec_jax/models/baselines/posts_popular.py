"""The tags given most often: by all, by the person, to the product.

Known as MP, MPu, MPr and MPu,r.

Source: Jäschke, Marinho, Hotho, Schmidt-Thieme and Stumme, 2007, 'Tag
recommendations in folksonomies'.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tagrec_jax.data.dataset import Dataset
from tagrec_jax.models.baselines import posts, scorers


@dataclasses.dataclass(frozen=True)
class MostPopular:
  """Scores a tag by its share of all assignments of training."""

  def fit(self, dataset: Dataset) -> scorers.SameForAll:
    given = dataset.assignments
    counts_T = np.bincount(
      given.tags[given.trains], minlength=dataset.spec.num_tags
    )
    return scorers.SameForAll(scorers.shares(counts_T))


@dataclasses.dataclass(frozen=True)
class MostPopularOfPerson:
  """By its share of the person's earlier assignments."""

  def fit(self, dataset: Dataset) -> posts.OwnAndProducts:
    return posts.OwnAndProducts.of(dataset, weight=1.0)


@dataclasses.dataclass(frozen=True)
class MostPopularOfProduct:
  """By its share of the assignments to the product in training."""

  def fit(self, dataset: Dataset) -> posts.OwnAndProducts:
    return posts.OwnAndProducts.of(dataset, weight=0.0)


@dataclasses.dataclass(frozen=True)
class MostPopularMixture:
  """By a mixture of the last two.

  Attributes:
    weight: of the person's own tags. The value is the best of .1, .2, ... .5 on
      the valid posts of HetRec MovieLens, core 3.
  """

  weight: float = 0.2

  def fit(self, dataset: Dataset) -> posts.OwnAndProducts:
    return posts.OwnAndProducts.of(dataset, self.weight)
