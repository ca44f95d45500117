"""History encoders: training speed of each beside the transformer's."""

from __future__ import annotations

from experiments.benchmarks import subject
from experiments.benchmarks.bench import Bench
from experiments.benchmarks.contest import Contestant
from experiments.benchmarks.result import Result

ENCODERS = ("transformer", "gru", "linear", "long_short")


def run(bench: Bench) -> Result:
  """The same data, loss and width; the transformer is the reference."""
  settings = subject.settings(bench.folder)
  scores = bench.contest(
    [
      Contestant(
        name,
        "experiments.benchmarks.ours:training",
        {"folder": bench.folder, "model__history": name},
      )
      for name in ENCODERS
    ]
  )
  return Result(
    title="History encoders",
    unit="questions/s",
    conditions={
      "data": settings.data.source,
      "width": settings.model.width,
      "layers": settings.model.layers,
      "loss": settings.objective.items,
      "row length": settings.pipeline.row_length,
    },
    groups=[scores],
  )
