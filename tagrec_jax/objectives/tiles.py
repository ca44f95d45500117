"""Sums over a whole catalogue without the array [B, T, C] of all scores.

A loss over a catalogue is Σ weight · (f(all scores of a question) - score of
its target). The second part touches one vector a question and is left to
automatic differentiation. The first is `catalogue_total`, computed in tiles
with its own gradient.
"""

from __future__ import annotations

import dataclasses

from jaxtyping import Array, Float

from tagrec_jax.objectives.catalogue_tiles import catalogue_tiles
from tagrec_jax.objectives.question_tiles import question_tiles
from tagrec_jax.objectives.rows import Row, log_sum_exp
from tagrec_jax.objectives.split import Split


@dataclasses.dataclass(frozen=True)
class Tiling:
  """How large a tile of float32 scores is on one device.

  A tile of questions is best when it stays in the cache, but not with few
  questions: for each tile a table of gradients [C, D] is added up. So it takes
  `cache_bytes` or `questions`, whatever is more, and at most `most_bytes`.
  Where not even half as many questions fit, log-sum-exp goes over to tiles of
  the catalogue. Measured on a CPU with 32 MB of L3.
  """

  cache_bytes: int = 8 * 2**20
  most_bytes: int = 64 * 2**20
  questions: int = 128


DEFAULT = Tiling()


def catalogue_total(
  row: Row,
  queries_BTD: Float[Array, "B T D"],
  vectors_CD: Float[Array, "C D"],
  bias_C: Float[Array, " C"],
  weights_BT: Float[Array, "B T"],
  tiling: Tiling,
) -> Float[Array, ""]:
  """Σ weight · row(query · vectors + bias), differentiable but for weights.

  Products are made in the dtype of the queries and added up in float32; all
  else is float32.
  """
  split = Split.of(queries_BTD, vectors_CD)
  rows = queries_BTD.shape[0] // split.parts(split.batch)
  questions = rows * queries_BTD.shape[1]
  catalogue = vectors_CD.shape[0] // split.parts(split.catalogue)
  inputs = queries_BTD, vectors_CD, bias_C, weights_BT
  wanted = max(tiling.questions, tiling.cache_bytes // (4 * catalogue))
  fitting = min(wanted, questions, tiling.most_bytes // (4 * catalogue))
  enough = fitting >= max(rows, min(questions, tiling.questions // 2))
  if enough or row is not log_sum_exp:
    return question_tiles(row, fitting, split, *inputs)
  part = max(1, min(catalogue, tiling.cache_bytes // (4 * questions)))
  return catalogue_tiles(part, split, *inputs)
