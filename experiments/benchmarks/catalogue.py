"""The catalogue: time and memory of an update while it grows to a million.

The batch stays the same; people and events are made up. With the full softmax
a step must look at every product; with sampled negatives and lazy tables it
reads and writes only the products of the batch and those drawn.
"""

from __future__ import annotations

import statistics
from typing import Any

from experiments.benchmarks.bench import Bench
from experiments.benchmarks.contest import Contestant, Score
from experiments.benchmarks.result import Curve, Plot, Result

SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000)
LOSSES: dict[str, dict[str, Any]] = {
  "softmax": {"objective__items": "softmax"},
  "1,024 sampled": {"objective__items": "sampled_softmax"},
  "1,024 sampled, lazy": {
    "objective__items": "sampled_softmax",
    "optimizer__tables": "lazy",
  },
}
_FIXED = {
  "objective__negatives": 1024,
  "pipeline__batch_rows": 4,
  "train__log_every": 2,
}


def run(bench: Bench) -> Result:
  """Each loss at each size, the losses of one size in one contest."""
  seconds: dict[str, list[float]] = {name: [] for name in LOSSES}
  temporary: dict[str, list[float]] = {name: [] for name in LOSSES}
  groups = []
  for size in SIZES:
    scores = bench.contest(_contestants(size, "training"))
    groups.append(scores)
    for name, score in zip(LOSSES, scores, strict=True):
      seconds[name].append(_seconds_a_step(score))
    for name, one in zip(
      LOSSES, _contestants(size, "step_memory"), strict=True
    ):
      turn = bench.alone(one).turns[-1]
      temporary[name].append(turn["temporary_bytes"] / 1e6)
  sizes = [float(size) for size in SIZES]
  x = "products"
  return Result(
    title="Growing catalogue",
    unit="questions/s",
    conditions={"rows in a batch": 4, "row length": 64, "negatives": 1024},
    groups=groups,
    plots=[
      Plot(x, y, [Curve(name, sizes, values[name]) for name in LOSSES])
      for y, values in {
        "seconds a step": seconds,
        "temporary memory of a step, MB": temporary,
      }.items()
    ],
  )


def _contestants(size: int, what: str) -> list[Contestant]:
  made_up = {"people": 5000, "items": size, "events": 20}
  return [
    Contestant(
      f"{name}, {size:,} products",
      f"experiments.benchmarks.ours:{what}",
      {"made_up": made_up, **_FIXED, **changes},
    )
    for name, changes in LOSSES.items()
  ]


def _seconds_a_step(score: Score) -> float:
  return statistics.median(t["seconds"] / t["steps"] for t in score.turns)
