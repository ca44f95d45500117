"""Where the time of a training step goes, and what it could not do without.

Each piece of the step runs by itself, beside the machine's limits: operations a
second in a large product of matrices, bytes a second in a pass over memory. A
piece's floor is the time its own operations and bytes take at these limits.
Only what the mathematics asks for is counted: a loss that read its scores from
memory would have a higher floor.
"""

from __future__ import annotations

from experiments.benchmarks import subject
from experiments.benchmarks.bench import Bench
from experiments.benchmarks.contest import Contestant
from experiments.benchmarks.result import Floor, Result
from tagrec_jax import build
from tagrec_jax.core.settings import Settings

_PIECES = ("step", "loss", "encoder", "update")
_DTYPES = ("float32", "bfloat16")


def run(bench: Bench) -> Result:
  """The pieces and the limits in one contest for each dtype."""
  settings = subject.settings(bench.folder)
  dataset = build.dataset(settings)
  rows = subject.fair_rows(settings, dataset)
  groups, floors = [], []
  for dtype in _DTYPES:
    changes = {"pipeline__batch_rows": rows, "model__compute_dtype": dtype}
    where = "experiments.benchmarks.pieces"
    scores = bench.contest(
      [
        *(
          Contestant(
            f"{piece} {dtype}",
            f"{where}:{piece}",
            {"folder": bench.folder, **changes},
          )
          for piece in _PIECES
        ),
        Contestant(f"product {dtype}", f"{where}:product", {"dtype": dtype}),
        Contestant("copy", f"{where}:copy", {}),
      ]
    )
    groups.append(scores)
    *pieces, operations, bandwidth = (score.rate for score in scores)
    parameters = int(scores[_PIECES.index("update")].turns[-1]["parameters"])
    tokens = rows * settings.pipeline.row_length
    needs = {
      "loss": _loss_operations(tokens, dataset.spec.num_items, settings),
      "encoder": _encoder_operations(tokens, settings),
    }
    seconds = {name: work / operations for name, work in needs.items()}
    # Parameters, two moments and the gradient are read, all but that written.
    seconds["update"] = 7 * 4 * parameters / bandwidth
    seconds["step"] = sum(seconds.values())
    floors += [
      Floor(f"{piece} {dtype}", 1e3 / rate, 1e3 * seconds[piece])
      for piece, rate in zip(_PIECES, pieces, strict=True)
    ]
  return Result(
    title="A training step, piece by piece",
    unit="steps, operations, bytes/s",
    conditions={
      "data": dataset.name,
      "products": dataset.spec.num_items,
      "rows": rows,
      "row length": settings.pipeline.row_length,
    },
    groups=groups,
    floors=floors,
  )


def _loss_operations(tokens: int, products: int, settings: Settings) -> float:
  """Scores, the gradient of queries, the gradient of vectors."""
  return 3 * 2.0 * tokens * products * settings.model.width


def _encoder_operations(tokens: int, settings: Settings) -> float:
  """Four maps of attention and two of the MLP; the gradient costs twice that.

  Attention itself looks at all of a row.
  """
  model = settings.model
  maps = 4 * model.width**2 + 2 * model.width * model.hidden
  attention = 2 * settings.pipeline.row_length * model.width
  return 3 * 2.0 * tokens * model.layers * (maps + attention)
