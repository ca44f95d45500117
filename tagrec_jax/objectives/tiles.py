"""Losses over many scores without the array [B, T, C] of all of them.

A loss is Σ weight · row(scores of a question, score of its right answer). The
score of the right answer touches one vector a question and is left to automatic
differentiation. The rest is `total`, computed in tiles with its own gradient.
"""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import ObjectiveSettings
from tagrec_jax.objectives import catalogue_tiles, rows
from tagrec_jax.objectives.question_tiles import question_tiles
from tagrec_jax.objectives.split import Split


@dataclasses.dataclass(frozen=True)
class Tiling:
  """How large a tile of float32 scores is on one device.

  A tile of questions is best when it stays in the cache, but not with few
  questions: for each tile a table of gradients [C, D] is added up. So it takes
  `cache_bytes` or `questions`, whatever is more, and at most `most_bytes`.
  Where not that many questions fit, a softmax goes over to tiles of the
  catalogue, of `cache_bytes` or `entries`, whatever is more. Measured on a CPU
  with 32 MB of L3.

  Attributes:
    kernel: what goes through the catalogue for a softmax, always, in the place
      of all this; None: what XLA makes of loops.
  """

  cache_bytes: int = 16 * 2**20
  most_bytes: int = 24 * 2**20
  questions: int = 128
  entries: int = 256
  kernel: catalogue_tiles.Tiles | None = None

  @classmethod
  def from_settings(cls, settings: ObjectiveSettings) -> Tiling:
    if settings.kernel == "xla":
      return cls()
    from tagrec_jax.objectives.pallas_tiles import PallasTiles

    return cls(kernel=PallasTiles())


DEFAULT = Tiling()


def total(
  row: rows.Row,
  queries_BTD: Float[Array, "B T D"],
  vectors_CD: Float[Array, "C D"],
  bias_C: Float[Array, " C"],
  right_BT: Float[Array, "B T"],
  weights_BT: Float[Array, "B T"],
  *,
  column_BTM: Int[Array, "B T M"] | None = None,
  share_BTM: Float[Array, "B T M"] | None = None,
  tiling: Tiling = DEFAULT,
) -> Float[Array, ""]:
  """Σ weight · row(query · vectors + bias, right).

  Products are made in the dtype of the queries and added up in float32; all
  else is float32. Differentiable for all but the weights.

  Args:
    right_BT, column_BTM, share_BTM: see `Tile`; without columns none is the
      right answer, as far as the row cares.
  """
  split = Split.of(queries_BTD, vectors_CD)
  local_rows = queries_BTD.shape[0] // split.parts(split.batch)
  positions = queries_BTD.shape[1] // split.parts(split.positions)
  questions = local_rows * positions
  catalogue = vectors_CD.shape[0] // split.parts(split.catalogue)
  scored = queries_BTD, vectors_CD, bias_C
  wanted = max(tiling.questions, tiling.cache_bytes // (4 * catalogue))
  fitting = min(wanted, questions, tiling.most_bytes // (4 * catalogue))
  enough = fitting >= max(local_rows, min(questions, tiling.questions))
  if row is not rows.softmax or (enough and tiling.kernel is None):
    if column_BTM is None:
      column_BTM = jnp.full((*right_BT.shape, 1), -1, jnp.int32)
    if share_BTM is None:
      share_BTM = jnp.ones(column_BTM.shape)
    asked = right_BT, column_BTM, share_BTM, weights_BT
    return question_tiles(row, fitting, split, *scored, *asked)
  log_sum_BT = log_sums(*scored, tiling=tiling)
  return jnp.sum((log_sum_BT - right_BT) * lax.stop_gradient(weights_BT))


def log_sums(
  queries_BTD: Float[Array, "B T D"],
  vectors_CD: Float[Array, "C D"],
  bias_C: Float[Array, " C"],
  *,
  tiling: Tiling = DEFAULT,
) -> Float[Array, "B T"]:
  """log Σ exp(query · vectors + bias), for losses that are no sum over it.

  Scores are computed once more for the gradient, where `total` does not.
  """
  split = Split.of(queries_BTD, vectors_CD)
  scored = queries_BTD, vectors_CD, bias_C
  if tiling.kernel is not None:
    _check_cut(split, len(queries_BTD), len(vectors_CD))
    return catalogue_tiles.log_sums(tiling.kernel, split, *scored)
  local_rows = queries_BTD.shape[0] // split.parts(split.batch)
  positions = queries_BTD.shape[1] // split.parts(split.positions)
  questions = local_rows * positions
  catalogue = vectors_CD.shape[0] // split.parts(split.catalogue)
  part = max(tiling.entries, tiling.cache_bytes // (4 * questions))
  parts = catalogue_tiles.XlaTiles(min(part, catalogue))
  return catalogue_tiles.log_sums(parts, split, *scored)


def _check_cut(split: Split, rows: int, catalogue: int) -> None:
  """XLA does not know how to cut a kernel, so each axis must have its part."""
  if split.uncut:
    raise UserError(
      "config.objective.kernel",
      f"found 'pallas' with {rows} rows and a catalogue of {catalogue} on"
      f" devices along {', '.join(split.uncut)}",
      "sizes that these devices divide",
      "change config.sharding, or set config.objective.kernel='xla'",
    )
