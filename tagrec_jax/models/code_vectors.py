"""Vectors of products from what is counted, before anything is learned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.registry import nearest
from tagrec_jax.core.rng import named_generator
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.spec import Feature, Kind, Part
from tagrec_jax.models.baselines.markov import Markov

EVENTS = "events"
"""Who follows whom in training; all other names are of product features."""

_RANK = 64
_DIGITS = 6
"""That linear algebra computes alike on all processors."""
_SETS = (Kind.CATEGORY, Kind.ID_SET, Kind.TEXT, Kind.NGRAMS)


def product_vectors(
  dataset: Dataset, names: Sequence[str], seed: int
) -> tuple[np.ndarray, np.ndarray]:
  """What is known of products, side by side.

  Args:
    names: 'events' and names of product features. Each part has length 1, or 0
      where nothing is known of a product.

  Returns:
    float64 [C + N, F], also of new products; bool [C + N], of which of them
    anything is known.

  Raises:
    UserError: if a name is not known, or its values are no vectors or sets.
  """
  if not names:
    raise UserError(
      "config.model.code_vectors",
      "found no name",
      f"'{EVENTS}' or names of product features",
      f"use ('{EVENTS}',)",
    )
  parts = [_unit(_of(dataset, name, seed)) for name in names]
  vectors_CF = np.round(np.concatenate(parts, axis=1), _DIGITS)
  return vectors_CF, (vectors_CF != 0).any(axis=1)


def _of(dataset: Dataset, name: str, seed: int) -> np.ndarray:
  if name == EVENTS:
    return _of_events(dataset, seed)
  features = {f.name: f for f in dataset.spec.of(Part.PRODUCT)}
  readable = (*_SETS, Kind.NUMBER, Kind.VECTOR)
  known = [EVENTS, *(n for n, f in features.items() if f.kind in readable)]
  if name not in known:
    raise UserError(
      "config.model.code_vectors",
      f"found '{name}'",
      f"some of {', '.join(known)}",
      nearest(name, known),
    )
  feature, values = features[name], dataset.product[name]
  if feature.kind in _SETS:
    return _of_sets(dataset, feature, values.reshape(len(values), -1), seed)
  return np.nan_to_num(values.astype(np.float64))


def _of_events(dataset: Dataset, seed: int) -> np.ndarray:
  """The spectrum of n(i, j) / √(n(i) n(j)), near products in histories.

  Source: the spectral embedding of Ng, Jordan & Weiss 2001, with the counts of
  `Markov` in both directions as affinities.
  """
  count_CC = Markov(back=1.0).counts(dataset).astype(np.float64)
  scale_C = np.maximum(count_CC.sum(axis=1), 1e-12) ** -0.5
  scale_C[count_CC.sum(axis=1) == 0] = 0
  scale_CC = sparse.diags_array(scale_C)
  vectors_CF, _ = _factors(scale_CC @ count_CC @ scale_CC, seed)
  new = dataset.spec.num_new_items
  return np.pad(vectors_CF, ((0, new), (0, 0)))


def _of_sets(
  dataset: Dataset, feature: Feature, ids_CM: np.ndarray, seed: int
) -> np.ndarray:
  """Members of sets, rare ones more, in the directions of training products.

  Source: latent semantic analysis, Deerwester et al. 1990, of TF-IDF.
  """
  rows_CM = np.broadcast_to(np.arange(len(ids_CM))[:, None], ids_CM.shape)
  there_CM = (ids_CM >= 0) & (ids_CM < feature.size)
  shape = (len(ids_CM), feature.size)
  ones = np.ones(int(there_CM.sum()))
  count_CV = sparse.csr_array(
    (ones, (rows_CM[there_CM], ids_CM[there_CM])), shape=shape
  )
  count_CV.data = np.minimum(count_CV.data, 1.0)
  size = dataset.spec.num_items
  with_V = count_CV[:size].sum(axis=0)
  tells_V = np.where(with_V > 0, np.log((1 + size) / (1 + with_V)), 0)
  weight_CV = sparse.csr_array(count_CV @ sparse.diags_array(tells_V))
  norm_C = np.sqrt((weight_CV**2).sum(axis=1))
  weight_CV = sparse.diags_array(1 / np.maximum(norm_C, 1e-12)) @ weight_CV
  _, directions_FV = _factors(sparse.csr_array(weight_CV)[:size], seed)
  return weight_CV @ directions_FV.T


def _factors(
  matrix: sparse.csr_array, seed: int
) -> tuple[np.ndarray, np.ndarray]:
  """U · S and V^T of the largest singular values."""
  smaller = min(matrix.shape)
  if smaller <= 2 * _RANK:
    left, values, right = np.linalg.svd(matrix.toarray(), full_matrices=False)
    left, values, right = left[:, :_RANK], values[:_RANK], right[:_RANK]
  else:
    start = named_generator(seed, "code vectors").normal(size=smaller)
    left, values, right = svds(matrix, k=_RANK, v0=start)
  return left * values[None], right


def _unit(vectors_CF: np.ndarray) -> np.ndarray:
  """Each row of length 1; of length 0 if there is next to nothing in it."""
  length_C1 = np.sqrt((vectors_CF**2).sum(axis=1, keepdims=True))
  there_C1 = length_C1 > 1e-6
  return np.where(there_C1, vectors_CF / np.maximum(length_C1, 1e-12), 0.0)
