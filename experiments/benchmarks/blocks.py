"""Ways to run the blocks of a deep transformer, beside each other."""

from __future__ import annotations

from typing import Any

from experiments.benchmarks.bench import Bench
from experiments.benchmarks.contest import Contestant
from experiments.benchmarks.result import Result

DATA = {"people": 500, "items": 2000, "events": 64}
MODEL: dict[str, Any] = {
  "model__layers": 12,
  "pipeline__batch_rows": 32,
  "pipeline__max_history": 64,
}
LOOP = {"model__scan_layers": True}
WAYS: dict[str, dict[str, Any]] = {
  "one after another": {},
  "in a loop": LOOP,
  "in a loop, remat = dots": LOOP | {"model__remat": "dots"},
  "in a loop, remat = block": LOOP | {"model__remat": "block"},
  "in a loop, four parts": LOOP | {"train__accumulate_steps": 4},
}


def run(bench: Bench) -> Result:
  """The same numbers from all; the list of blocks is the reference."""
  scores = bench.contest(
    [
      Contestant(
        name,
        "experiments.benchmarks.ours:training",
        {"made_up": DATA, **MODEL, **changes},
      )
      for name, changes in WAYS.items()
    ]
  )
  return Result(
    title="Twelve blocks",
    unit="questions/s",
    conditions={"data": f"{DATA}", **MODEL},
    groups=[scores],
  )
