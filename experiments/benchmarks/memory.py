"""The loss alone: its temporary memory while the catalogue grows.

What the compiled full softmax and its gradient need besides arguments and
results, at a fixed batch, beside the array [B, T, C] that a plain
cross-entropy makes.
"""

from __future__ import annotations

import math

from experiments.benchmarks.bench import Bench
from experiments.benchmarks.contest import Contestant
from experiments.benchmarks.result import Curve, Plot, Result, Target

SIZES = (10_000, 30_000, 100_000, 300_000, 1_000_000)
ROWS, LENGTH, WIDTH = 24, 64, 64


def run(bench: Bench) -> Result:
  """Compiles the loss at each size."""
  ours = [_megabytes(bench, size) for size in SIZES]
  sizes = [float(size) for size in SIZES]
  naive = [ROWS * LENGTH * size * 4 / 1e6 for size in SIZES]
  return Result(
    title="Memory of the loss",
    conditions={"rows": ROWS, "row length": LENGTH, "width": WIDTH},
    targets=[
      Target(
        f"loss memory: {SIZES[-1]:,} / {SIZES[0]:,} products",
        ours[-1] / ours[0] if ours[0] else math.inf,
        1.5,
        at_most=True,
      )
    ],
    plots=[
      Plot(
        "products",
        "temporary memory of the loss, MB",
        [
          Curve("tagrec_jax", sizes, ours),
          Curve("an array [B, T, C]", sizes, naive),
        ],
      )
    ],
  )


def _megabytes(bench: Bench, products: int) -> float:
  shape = {"rows": ROWS, "length": LENGTH, "width": WIDTH}
  one = Contestant(
    f"loss, {products:,} products",
    "experiments.benchmarks.ours:loss_memory",
    {**shape, "products": products},
  )
  return bench.alone(one).turns[-1]["temporary_bytes"] / 1e6
