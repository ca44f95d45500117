"""How often tags were given in training, and how often they are overlooked."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from tagrec_jax.data.dataset import Dataset

_A, _B = 0.55, 1.5


@dataclasses.dataclass(frozen=True)
class TagCounts:
  """What training says of tags before anything is learned.

  Attributes:
    products: how many of training have a tag.
    of_tag: int64 [T], how many of them have each.
  """

  products: int
  of_tag: np.ndarray

  @classmethod
  def of(cls, dataset: Dataset) -> TagCounts:
    """Counts the products of training; a tag listed twice counts once."""
    spec = dataset.spec
    tags_CM = np.sort(dataset.product["tags"][: spec.num_items], axis=1)
    first_CM = np.ones(tags_CM.shape, bool)
    first_CM[:, 1:] = tags_CM[:, 1:] != tags_CM[:, :-1]
    given_CM = (tags_CM >= 0) & (tags_CM < spec.num_tags) & first_CM
    return cls(
      int(given_CM.any(axis=1).sum()),
      np.bincount(tags_CM[given_CM], minlength=spec.num_tags),
    )

  @classmethod
  def of_posts(cls, dataset: Dataset) -> TagCounts:
    """Counts the posts of training in the place of products."""
    given = dataset.assignments
    pairs = np.unique(
      np.stack([given.events[given.trains], given.tags[given.trains]]), axis=1
    )
    return cls(
      len(np.unique(pairs[0])),
      np.bincount(pairs[1], minlength=dataset.spec.num_tags),
    )

  def with_new(self, count: int) -> TagCounts:
    """The same, followed by tags that no product of training has."""
    return TagCounts(self.products, np.pad(self.of_tag, (0, count)))

  def log_odds(self) -> np.ndarray:
    """Of each tag among the products of training, float32 [T].

    Half a product is added to both sides: a tag of none or of all is finite.
    """
    with_tag = self.of_tag + 0.5
    odds = with_tag / (self.products - self.of_tag + 0.5)
    return np.log(odds).astype(np.float32)

  def propensities(self) -> np.ndarray:
    """How likely a tag that is right was given at all, float64 [T].

    1 / (1 + C · exp(-A · log(n + B))) with C = (log N - 1) · (1 + B)^A for a
    tag of n among N products, A = .55 and B = 1.5: rare tags are overlooked.

    Source: Jain, Prabhu and Varma, 2016, 'Extreme multi-label loss functions
    for recommendation, tagging, ranking & other missing label applications'.
    """
    # Below e products the formula would leave the range of probabilities.
    scale = max(math.log(max(self.products, 1)) - 1, 0.0) * (1 + _B) ** _A
    return 1 / (1 + scale * (self.of_tag + _B) ** -_A)

  def weights(self, share: float) -> np.ndarray:
    """(1 - share) + share · 1/propensity, float32 [T].

    Inverse propensities are brought to a mean of 1 over all tags given in
    training, so that a loss stays about as large.
    """
    inverse = 1 / self.propensities()
    given = max(int(self.of_tag.sum()), 1)
    mean = (self.of_tag @ inverse) / given or 1.0
    return (1 - share + share * inverse / mean).astype(np.float32)
