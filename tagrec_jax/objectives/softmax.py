"""Cross-entropy of the target against the whole catalogue."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tagrec_jax.core.settings import ObjectiveSettings
from tagrec_jax.core.sums import Sum
from tagrec_jax.objectives import rows, tiles
from tagrec_jax.objectives.negatives import Negatives
from tagrec_jax.objectives.scores import target_scores


@dataclasses.dataclass(frozen=True)
class Softmax:
  """-log softmax(scores)[target], never holding an array [B, T, C].

  With label smoothing e the target keeps 1 - e of the probability and e is
  spread evenly over the catalogue, the target included.

  Attributes:
    label_smoothing: e, in [0, 1).
    tiling: how large its tiles are.
  """

  negatives: ClassVar[int] = 0
  label_smoothing: float = 0.0
  tiling: tiles.Tiling = tiles.DEFAULT

  @classmethod
  def from_settings(cls, settings: ObjectiveSettings) -> Softmax:
    return cls(settings.label_smoothing, tiles.Tiling.from_settings(settings))

  def __call__(
    self,
    queries_BTD: Float[Array, "B T D"],
    vectors_CD: Float[Array, "C D"],
    bias_C: Float[Array, " C"],
    targets_BT: Int[Array, "B T"],
    drawn: Negatives | None = None,
  ) -> Sum:
    """Adds up the loss of all questions that have a target.

    Args:
      queries_BTD: their dtype is that of the matrix products.
      targets_BT: catalogue index; negative where there is no question.
      drawn: not used, the whole catalogue takes part.
    """
    del drawn
    valid_BT = (targets_BT >= 0).astype(jnp.float32)
    scored = queries_BTD, vectors_CD, bias_C
    e = self.label_smoothing
    right_BT = target_scores(*scored, targets_BT)
    loss = tiles.total(
      rows.softmax, *scored, right_BT, valid_BT, tiling=self.tiling
    )
    if e:
      loss += e * (jnp.sum(right_BT) - _mean_scores(*scored, valid_BT))
    return Sum(loss, jnp.sum(valid_BT))


def _mean_scores(
  queries_BTD: jax.Array,
  vectors_CD: jax.Array,
  bias_C: jax.Array,
  valid_BT: jax.Array,
) -> jax.Array:
  """Σ valid · mean over C of the scores: scores are linear in the vectors."""
  queries_D = jnp.einsum("BTD,BT->D", queries_BTD.astype(jnp.float32), valid_BT)
  mean_D = jnp.mean(vectors_CD.astype(jnp.float32), axis=0)
  return queries_D @ mean_D + jnp.sum(valid_BT) * jnp.mean(bias_C)
