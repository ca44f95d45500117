"""Sums over a whole catalogue without the array [B, T, C] of all scores.

A loss over a catalogue is Σ weight · (f(all scores of a question) - score of
its target). The second part touches one vector a question and is left to
automatic differentiation. The first is `catalogue_total`, computed in tiles
with its own gradient.
"""

from __future__ import annotations

from jaxtyping import Array, Float

from tagrec_jax.objectives.catalogue_tiles import catalogue_tiles
from tagrec_jax.objectives.question_tiles import question_tiles
from tagrec_jax.objectives.rows import Row, log_sum_exp
from tagrec_jax.objectives.split import Split

TILE_BYTES = 8 * 2**20
"""Of a tile of float32 scores: measured best on a CPU with 32 MB of L3."""
FEWEST_QUESTIONS = 64
"""A tile with fewer spends its time on adding up gradients [C, D]."""


def catalogue_total(
  row: Row,
  queries_BTD: Float[Array, "B T D"],
  vectors_CD: Float[Array, "C D"],
  bias_C: Float[Array, " C"],
  weights_BT: Float[Array, "B T"],
  tile_bytes: int = TILE_BYTES,
) -> Float[Array, ""]:
  """Σ weight · row(query · vectors + bias), differentiable but for weights.

  Products are made in the dtype of the queries and added up in float32; all
  else is float32.

  Args:
    tile_bytes: how large a tile of float32 scores may be on one device. Log-
      sum-exp goes over to tiles of the catalogue where a tile of questions
      would hold too few of them.
  """
  split = Split.of(queries_BTD, vectors_CD)
  rows = queries_BTD.shape[0] // split.parts(split.batch)
  questions = rows * queries_BTD.shape[1]
  catalogue = vectors_CD.shape[0] // split.parts(split.catalogue)
  fitting = tile_bytes // (4 * catalogue)
  inputs = queries_BTD, vectors_CD, bias_C, weights_BT
  enough = fitting >= min(questions, max(rows, FEWEST_QUESTIONS))
  if enough or row is not log_sum_exp:
    return question_tiles(row, fitting, split, *inputs)
  part = max(1, min(catalogue, tile_bytes // (4 * questions)))
  return catalogue_tiles(part, split, *inputs)
