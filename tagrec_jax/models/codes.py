"""Semantic ids: a few codes that say what a product is like, coarse ones first.

A product's vector is replaced by the nearest of K centers, what is left of it
by the nearest of K others, and so on; one more code tells apart products whose
codes are the same. Products that are alike begin alike, so that what a model
learns of one serves the others.

Source: residual quantisation is that of TIGER (Rajput et al. 2023, section
3.1), with k-means at each level in place of an autoencoder.
"""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.rng import named_generator
from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.spec import CODES
from tagrec_jax.models.code_vectors import product_vectors

_ROUNDS = 25
"""Of k-means; after these hardly a product changes its center."""
_PART = 8192
"""Products whose distances are computed at a time."""


def with_codes(dataset: Dataset, settings: ModelSettings, seed: int) -> Dataset:
  """Gives every product that can have some its codes.

  Codes are made again whenever a run is opened: centers are those of training
  products, sums are in float64, and vectors are rounded first, so that the last
  digits of a processor's linear algebra do not matter. Their fingerprint is
  kept with each checkpoint nevertheless.

  Raises:
    UserError: if codes cannot be made of what the settings name.
  """
  vectors_CF, known_C = product_vectors(dataset, settings.code_vectors, seed)
  known_C[: dataset.spec.num_items] = True  # they are to be found somehow
  codes_CL = np.full(
    (len(vectors_CF), settings.code_levels + 1), UNKNOWN, np.int32
  )
  codes_CL[known_C] = _told_apart(
    quantised(
      vectors_CF[known_C],
      trained=dataset.spec.num_items,
      levels=settings.code_levels,
      size=settings.code_size,
      seed=seed,
    )
  )
  return dataclasses.replace(
    dataset, product=dataset.product | {CODES: codes_CL}
  )


def fingerprint(codes_CL: np.ndarray) -> str:
  """sha256 (hex) of all codes, in order."""
  plain = np.ascontiguousarray(codes_CL, "<i4")
  digest = hashlib.sha256(f"{plain.shape} ".encode())
  digest.update(plain.data)
  return digest.hexdigest()


def quantised(
  vectors_CF: np.ndarray, *, trained: int, levels: int, size: int, seed: int
) -> np.ndarray:
  """Codes int32 [C, levels], the centers of which the first rows make.

  Args:
    trained: how many rows make centers.
    size: centers of each level, at most.

  Raises:
    UserError: if all vectors are the same.
  """
  if not trained or (vectors_CF[:trained] == vectors_CF[:1]).all():
    raise UserError(
      "config.model.code_vectors",
      "found the same vector for all products",
      "something that tells products apart",
      "name other features of products, or 'events'",
    )
  left_CF = vectors_CF.astype(np.float64)
  codes = []
  for level in range(levels):
    random = named_generator(seed, "codes", level)
    centers_KF = k_means(left_CF[:trained], size, random)
    code_C = _nearest(left_CF, centers_KF)[0]
    left_CF = left_CF - centers_KF[code_C]
    codes.append(code_C.astype(np.int32))
  return np.stack(codes, axis=1)


def k_means(
  vectors_CF: np.ndarray, size: int, random: np.random.Generator
) -> np.ndarray:
  """At most `size` centers, float64 [K, F].

  The first are drawn far from each other: the next with a probability that is
  its squared distance from those there are. A center that nothing is nearest to
  moves to what is farthest from its own.

  Source: k-means++, Arthur & Vassilvitskii 2007.
  """
  centers = [vectors_CF[random.integers(len(vectors_CF))]]
  distance_C = _squared(vectors_CF, centers[0])
  while len(centers) < size and distance_C.sum() > 1e-12:
    drawn = random.random() * distance_C.sum()
    place = int(np.searchsorted(np.cumsum(distance_C), drawn))
    centers.append(vectors_CF[min(place, len(vectors_CF) - 1)])
    distance_C = np.minimum(distance_C, _squared(vectors_CF, centers[-1]))
  centers_KF = np.stack(centers)
  before_C = np.full(len(vectors_CF), UNKNOWN)
  for _ in range(_ROUNDS):
    code_C, distance_C = _nearest(vectors_CF, centers_KF)
    if (code_C == before_C).all():
      break
    before_C = code_C
    count_K = np.bincount(code_C, minlength=len(centers_KF))
    total_KF = np.zeros_like(centers_KF)
    np.add.at(total_KF, code_C, vectors_CF)
    there_K = count_K > 0
    centers_KF[there_K] = total_KF[there_K] / count_K[there_K, None]
    farthest = np.argsort(-distance_C, kind="stable")[: (~there_K).sum()]
    centers_KF[~there_K] = vectors_CF[farthest]
  return centers_KF


def _squared(vectors_CF: np.ndarray, center_F: np.ndarray) -> np.ndarray:
  return ((vectors_CF - center_F[None]) ** 2).sum(1)


def _nearest(
  vectors_CF: np.ndarray, centers_KF: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """The nearest center of each, of equal ones the first, and the distance."""
  codes, distances = [], []
  for begin in range(0, len(vectors_CF), _PART):
    part_CF = vectors_CF[begin : begin + _PART]
    distance_CK = (centers_KF**2).sum(1)[None] - 2 * part_CF @ centers_KF.T
    code_C = distance_CK.argmin(1)
    codes.append(code_C)
    distances.append(_squared_rows(part_CF, centers_KF[code_C]))
  return np.concatenate(codes), np.concatenate(distances)


def _squared_rows(one_CF: np.ndarray, other_CF: np.ndarray) -> np.ndarray:
  return ((one_CF - other_CF) ** 2).sum(1)


def _told_apart(codes_CL: np.ndarray) -> np.ndarray:
  """With one more code: which of those with the same codes it is, by row."""
  _, group_C = np.unique(codes_CL, axis=0, return_inverse=True)
  order_C = np.argsort(group_C, kind="stable")
  sorted_C = group_C[order_C]
  first_C = np.searchsorted(sorted_C, sorted_C)
  last_C = np.empty(len(codes_CL), np.int32)
  last_C[order_C] = np.arange(len(codes_CL)) - first_C
  return np.concatenate([codes_CL, last_C[:, None]], axis=1)
