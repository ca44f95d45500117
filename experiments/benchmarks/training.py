"""Training: questions answered a second, at equal model, loss and dropout.

A question is an event with a target. An update of ours holds as many of them
as 256 people have on average, which is what an update of the peers holds.
"""

from __future__ import annotations

from experiments.benchmarks import subject
from experiments.benchmarks.bench import Bench
from experiments.benchmarks.contest import TUNED_ALLOCATOR, Contestant, Score
from experiments.benchmarks.result import Result, Target, faster, smaller
from tagrec_jax import build

_PEER = "experiments.peers.torch_training"
_WANTED = {"float32": (8.0, 2.4), "bfloat16": (10.0, 2.0)}


def run(bench: Bench) -> Result:
  """PyTorch padded, PyTorch at its best, and ours; in float32 and bfloat16."""
  settings = subject.settings(bench.folder)
  dataset = build.dataset(settings)
  events = str(subject.write_events(dataset, bench.data))
  rows = subject.fair_rows(settings, dataset)
  groups, targets = [], []
  for dtype in _WANTED:
    groups.append(bench.contest(contestants(bench, dtype, events, rows)))
    targets += _targets(dtype, groups[-1])
  return Result(
    title="Training",
    unit="questions/s",
    conditions={
      "data": dataset.name,
      "products": dataset.spec.num_items,
      "people in a batch of the peers": subject.PEOPLE,
      "rows in a batch of ours": rows,
      "row length": settings.pipeline.row_length,
    },
    groups=groups,
    targets=targets,
  )


def contestants(
  bench: Bench, dtype: str, events: str, rows: int
) -> list[Contestant]:
  """The padded peer is the reference: it is what people write."""
  peer = {"events": events, "dtype": dtype}
  return [
    Contestant(f"PyTorch padded {dtype}", f"{_PEER}:padded", peer),
    Contestant(
      f"PyTorch trimmed {dtype}", f"{_PEER}:trimmed", peer, TUNED_ALLOCATOR
    ),
    Contestant(
      f"tagrec_jax {dtype}",
      "experiments.benchmarks.ours:training",
      {
        "folder": bench.folder,
        "pipeline__batch_rows": rows,
        "model__compute_dtype": dtype,
      },
    ),
  ]


def _targets(dtype: str, scores: list[Score]) -> list[Target]:
  mine = f"tagrec_jax {dtype}"
  padded, trimmed = (
    f"PyTorch {kind} {dtype}" for kind in ("padded", "trimmed")
  )
  return [
    *faster(scores, mine, padded, _WANTED[dtype][0]),
    *faster(scores, mine, trimmed, _WANTED[dtype][1]),
    *smaller(scores, mine, padded, 0.8),
  ]
