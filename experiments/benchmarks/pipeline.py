"""The input pipeline alone: people's histories a second, against training."""

from __future__ import annotations

from experiments.benchmarks import subject, training
from experiments.benchmarks.bench import Bench
from experiments.benchmarks.contest import Contestant
from experiments.benchmarks.result import Result, faster
from tagrec_jax import build

_MODEL, _PIPELINE = "tagrec_jax float32", "pipeline alone"


def run(bench: Bench) -> Result:
  """What one thread makes of batches, and what the model takes of them."""
  settings = subject.settings(bench.folder)
  dataset = build.dataset(settings)
  rows = subject.fair_rows(settings, dataset)
  *_, model = training.contestants(bench, "float32", "", rows)
  alone = Contestant(
    _PIPELINE,
    "experiments.benchmarks.ours:batches",
    {"folder": bench.folder, "pipeline__batch_rows": rows},
  )
  scores = bench.contest([model, alone])
  return Result(
    title="Input pipeline",
    unit="questions/s",
    conditions={"data": dataset.name, "rows in a batch": rows},
    groups=[scores],
    targets=faster(scores, _PIPELINE, model.name, 20.0),
  )
