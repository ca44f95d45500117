"""Retrieval: the exact best k of a million vectors for a thousand queries."""

from __future__ import annotations

import math

from experiments.benchmarks.bench import Bench
from experiments.benchmarks.contest import TUNED_ALLOCATOR, Contestant, Score
from experiments.benchmarks.result import Result, faster
from tagrec_jax.core.errors import TagrecError
from tagrec_jax.core.log import warn

QUERIES, PRODUCTS, WIDTH = 1000, 1_000_000, 64
_PEERS = "experiments.peers.search"


def run(bench: Bench) -> Result:
  """faiss, numpy, PyTorch and ours, for k = 10 and k = 100."""
  groups, targets = [], []
  for k in (10, 100):
    size = {"queries": QUERIES, "products": PRODUCTS, "width": WIDTH, "k": k}
    names = {
      f"faiss k={k}": f"{_PEERS}:by_faiss",
      f"numpy k={k}": f"{_PEERS}:by_numpy",
      f"PyTorch k={k}": f"{_PEERS}:by_torch",
      f"tagrec_jax k={k}": "experiments.benchmarks.ours:retrieval",
    }
    scores = bench.contest(
      [
        # faiss scores in small blocks of its own, which it keeps.
        Contestant(
          name, target, size, {} if "faiss" in name else TUNED_ALLOCATOR
        )
        for name, target in names.items()
      ]
    )
    check_agreement(scores)
    groups.append(scores)
    # At most 1.2 times the time is at least 1 / 1.2 of the speed.
    targets += faster(scores, f"tagrec_jax k={k}", f"faiss k={k}", 1 / 1.2)
  return Result(
    title=f"Retrieval: {QUERIES:,} queries, {PRODUCTS:,} vectors, D={WIDTH}",
    unit="queries/s",
    conditions={"queries": QUERIES, "products": PRODUCTS, "width": WIDTH},
    groups=groups,
    targets=targets,
  )


def check_agreement(scores: list[Score]) -> None:
  """Raises TagrecError unless all found the same products.

  A near tie may fall either way, which moves the sum of ids by little; another
  set of products moves it by far more.
  """
  found = {score.name: score.turns[-1]["found"] for score in scores}
  if not math.isclose(min(found.values()), max(found.values()), rel_tol=1e-4):
    raise TagrecError("retrieval", f"checksums {found}", "the same products")
  if len(set(found.values())) > 1:
    warn(f"near ties fell differently: {found}")
