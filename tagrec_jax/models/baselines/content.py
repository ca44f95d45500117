"""Tags of a product guessed from its words, without learning anything."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import sparse

from tagrec_jax.data.dataset import Dataset
from tagrec_jax.models.baselines import tags
from tagrec_jax.models.baselines.scorers import Batch

_FEATURES = ("ngrams", "text")
"""What words are read from: the first that products and tags have."""


@dataclasses.dataclass(frozen=True)
class TextKNN:
  """The most similar products of training vote for their tags.

  Products are compared by the cosine of their words, weighed by TF-IDF; a vote
  is the similarity to the power `sharpness`. Tags that came after training get
  no votes.

  Attributes:
    neighbours: how many vote.
    sharpness: above 1 the nearest have more of a say.

  The values were chosen by eye from a small grid on the valid split of
  Debian's packages.
  """

  neighbours: int = 40
  sharpness: float = 2.0

  @classmethod
  def suits(cls, dataset: Dataset) -> bool:
    """Whether products have words."""
    return bool(_words(dataset.product))

  def fit(self, dataset: Dataset) -> _Votes:
    """Takes the products of training of a data set that suits."""
    name = _words(dataset.product)
    rows_PW = _tf_idf(dataset, name, dataset.product[name])
    size = dataset.spec.num_items
    given_CT = tags.tags_of_items(dataset)
    new = sparse.csr_array((size, dataset.spec.num_new_tags), dtype=np.float32)
    return _Votes(
      rows_PW,
      rows_PW[:size].T.tocsr(),
      sparse.hstack([given_CT, new], format="csr"),
      self.neighbours,
      self.sharpness,
    )


@dataclasses.dataclass(frozen=True)
class TagTextSimilarity:
  """The cosine of a product's words and the tag's own, weighed by TF-IDF.

  It has an answer for tags that came after training, too.
  """

  @classmethod
  def suits(cls, dataset: Dataset) -> bool:
    """Whether products and tags have words, read in the same way."""
    return bool(_words(dataset.product, dataset.tag))

  def fit(self, dataset: Dataset) -> _Similarity:
    """Takes the tags and, for the weights of words, products of training."""
    name = _words(dataset.product, dataset.tag)
    return _Similarity(
      _tf_idf(dataset, name, dataset.product[name]),
      _tf_idf(dataset, name, dataset.tag[name]).T.tocsr(),
    )


@dataclasses.dataclass(frozen=True)
class _Votes:
  """Scores of products asked about, by their row.

  Attributes:
    rows_PW: words of all products, also new ones.
    trained_WC: words of those of training.
    given_CV: their tags.
  """

  rows_PW: sparse.csr_array
  trained_WC: sparse.csr_array
  given_CV: sparse.csr_array
  neighbours: int
  sharpness: float

  def __call__(self, batch: Batch) -> np.ndarray:
    """Scores float32 [B, T + N] of batch['product_ids']; 0 where it is -1.

    A product of training does not vote for its own tags.
    """
    ids_B = np.asarray(batch["product_ids"])
    alike_BC = (_rows(self.rows_PW, ids_B) @ self.trained_WC).toarray()
    own_B = np.flatnonzero((ids_B >= 0) & (ids_B < alike_BC.shape[1]))
    alike_BC[own_B, ids_B[own_B]] = 0
    count = min(self.neighbours, alike_BC.shape[1])
    nearest_BK = np.argpartition(alike_BC, -count, axis=1)[:, -count:]
    votes_BK = np.take_along_axis(alike_BC, nearest_BK, axis=1)
    votes_BC = sparse.csr_array(
      (
        (votes_BK**self.sharpness).ravel(),
        nearest_BK.ravel(),
        np.arange(0, nearest_BK.size + 1, count),
      ),
      shape=alike_BC.shape,
    )
    return (votes_BC @ self.given_CV).toarray()


@dataclasses.dataclass(frozen=True)
class _Similarity:
  """Products against tags, see `_Votes`."""

  rows_PW: sparse.csr_array
  tags_WV: sparse.csr_array

  def __call__(self, batch: Batch) -> np.ndarray:
    """Scores float32 [B, T + N] of batch['product_ids']; 0 where it is -1."""
    ids_B = np.asarray(batch["product_ids"])
    return (_rows(self.rows_PW, ids_B) @ self.tags_WV).toarray()


def _rows(rows_PW: sparse.csr_array, ids_B: np.ndarray) -> sparse.csr_array:
  """The rows of products, empty ones for negative ids."""
  chosen_BW = rows_PW[np.maximum(ids_B, 0)]
  known_B = sparse.diags_array((ids_B >= 0).astype(np.float32))
  return sparse.csr_array(known_B @ chosen_BW)


def _tf_idf(
  dataset: Dataset, name: str, ids_NM: np.ndarray
) -> sparse.csr_array:
  """Rows of length 1, float32 [N, words]; a row without words is 0.

  A word weighs log(products / products with it) + 1, as in products of
  training.
  """
  sizes = {f.name: f.size for f in dataset.spec.features}
  trained_CM = dataset.product[name][: dataset.spec.num_items]
  with_W = _counts(trained_CM, sizes[name]).astype(bool).sum(axis=0)
  idf_W = np.log(len(trained_CM) / np.maximum(with_W, 1)) + 1
  rows_NW = _counts(ids_NM, sizes[name]) @ sparse.diags_array(idf_W)
  length_N = np.sqrt((rows_NW**2).sum(axis=1))
  unit_N = sparse.diags_array(1 / np.maximum(length_N, 1e-12))
  return sparse.csr_array(unit_N @ rows_NW).astype(np.float32)


def _counts(ids_NM: np.ndarray, size: int) -> sparse.csr_array:
  """How often each row has each word, [N, words]."""
  rows_E, places_E = np.nonzero(ids_NM >= 0)
  counts_NW = sparse.csr_array(
    (np.ones(len(rows_E)), (rows_E, ids_NM[rows_E, places_E])),
    shape=(len(ids_NM), size),
  )
  counts_NW.sum_duplicates()
  return counts_NW


def _words(*known: dict[str, np.ndarray]) -> str:
  """The feature that all of these have and that holds words, '' for none."""
  shared = (name for name in _FEATURES if all(name in k for k in known))
  return next(shared, "")
