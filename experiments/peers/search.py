"""Exact search: the best k of a million vectors, by numpy, PyTorch and faiss.

Each contestant draws the same vectors from one seed; work is queries. `found`
is a checksum of the sets of ids, equal for all but for ties.
"""

from __future__ import annotations

import numpy as np

from experiments.benchmarks import child
from experiments.benchmarks.child import Run

BLOCK = 65_536  # products scored at a time


def draw(
  queries: int, products: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
  """Queries [B, D] and vectors [C, D], float32."""
  random = np.random.default_rng(0)
  return (
    random.standard_normal((queries, width), np.float32),
    random.standard_normal((products, width), np.float32),
  )


def checksum(ids_BK: np.ndarray) -> float:
  """One number of the sets of ids; their order in a list does not matter."""
  return float(ids_BK.astype(np.int64).sum())


def by_numpy(queries: int, products: int, width: int, k: int) -> Run:
  """Block by block: a matrix product, argpartition, and what is best so far."""
  query_BD, vectors_CD = draw(queries, products, width)

  def best_of(
    scores_BX: np.ndarray, ids_BX: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray]:
    chosen = np.argpartition(scores_BX, -k, axis=1)[:, -k:]
    return (
      np.take_along_axis(scores_BX, chosen, 1),
      np.take_along_axis(ids_BX, chosen, 1),
    )

  def search() -> np.ndarray:
    scores_BK = np.full((queries, k), -np.inf, np.float32)
    ids_BK = np.zeros((queries, k), np.int64)
    for start in range(0, products, BLOCK):
      scores_BX = query_BD @ vectors_CD[start : start + BLOCK].T
      ids_BX = np.broadcast_to(np.arange(scores_BX.shape[1]), scores_BX.shape)
      new_BK, new_ids_BK = best_of(scores_BX, ids_BX)
      scores_BK, ids_BK = best_of(
        np.concatenate([scores_BK, new_BK], axis=1),
        np.concatenate([ids_BK, new_ids_BK + start], axis=1),
      )
    order_BK = np.argsort(-scores_BK, axis=1)
    return np.take_along_axis(ids_BK, order_BK, 1)

  def run(times: int) -> dict[str, float]:
    for _ in range(times):
      ids_BK = search()
    return {"work": times * queries, "found": checksum(ids_BK)}

  return run


def by_torch(queries: int, products: int, width: int, k: int) -> Run:
  """The same in PyTorch."""
  import torch

  torch.set_num_threads(child.threads())
  query_BD, vectors_CD = map(torch.from_numpy, draw(queries, products, width))

  def search() -> torch.Tensor:
    best = query_BD.new_full((queries, k), -torch.inf)
    ids = torch.zeros((queries, k), dtype=torch.int64)
    for start in range(0, products, BLOCK):
      new, new_ids = (query_BD @ vectors_CD[start : start + BLOCK].T).topk(k)
      merged = torch.cat([best, new], 1)
      best, chosen = merged.topk(k)
      ids = torch.cat([ids, new_ids + start], 1).gather(1, chosen)
    return ids

  @torch.inference_mode()
  def run(times: int) -> dict[str, float]:
    for _ in range(times):
      ids = search()
    return {"work": times * queries, "found": checksum(ids.numpy())}

  return run


def by_faiss(queries: int, products: int, width: int, k: int) -> Run:
  """faiss' exact index of inner products."""
  import faiss

  faiss.omp_set_num_threads(child.threads())
  query_BD, vectors_CD = draw(queries, products, width)
  index = faiss.IndexFlatIP(width)
  index.add(vectors_CD)

  def run(times: int) -> dict[str, float]:
    for _ in range(times):
      _, ids_BK = index.search(query_BD, k)
    return {"work": times * queries, "found": checksum(ids_BK)}

  return run
