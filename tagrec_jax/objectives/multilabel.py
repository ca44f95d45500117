"""Losses for questions with a set of right answers, such as tags."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tagrec_jax.core.settings import ObjectiveSettings
from tagrec_jax.core.sums import Sum
from tagrec_jax.objectives import rows, tiles
from tagrec_jax.objectives.negatives import Negatives
from tagrec_jax.objectives.scores import label_scores


@dataclasses.dataclass(frozen=True)
class MultilabelSoftmax:
  """-1/|Y| Σ log softmax(scores)[y] over the labels y of a question.

  The softmax runs over the whole catalogue; labels compete with each other.
  Source: Joulin et al. 2016, Learning visual features from large weakly
  supervised data (arXiv 1511.02251), multi-class logistic loss.
  """

  negatives: ClassVar[int] = 0
  tiling: tiles.Tiling = tiles.DEFAULT

  @classmethod
  def from_settings(cls, settings: ObjectiveSettings) -> MultilabelSoftmax:
    del settings
    return cls()

  def __call__(
    self,
    queries_BTD: Float[Array, "B T D"],
    vectors_CD: Float[Array, "C D"],
    bias_C: Float[Array, " C"],
    targets_BTM: Int[Array, "B T M"],
    drawn: Negatives | None = None,
  ) -> Sum:
    """Adds up the loss of all questions that have labels.

    Args:
      targets_BTM: distinct catalogue indices; negative ids pad the labels.
      drawn: not used, the whole catalogue takes part.
    """
    del drawn
    labels_BT = jnp.sum(targets_BTM >= 0, axis=-1)
    valid_BT = (labels_BT > 0).astype(jnp.float32)
    scored = queries_BTD, vectors_CD, bias_C
    right_BT = label_scores(*scored, targets_BTM) / jnp.maximum(labels_BT, 1)
    loss = tiles.total(
      rows.softmax, *scored, right_BT, valid_BT, tiling=self.tiling
    )
    return Sum(loss, jnp.sum(valid_BT))


@dataclasses.dataclass(frozen=True)
class MultilabelSigmoid:
  """Binary cross-entropy of every catalogue entry, added up.

  Σ_{y in Y} -log σ(score_y) + Σ_{c not in Y} -log(1 - σ(score_c)), computed
  from scores as Σ_c log(1 + exp(score_c)) - Σ_{y in Y} score_y.
  """

  negatives: ClassVar[int] = 0
  tiling: tiles.Tiling = tiles.DEFAULT

  @classmethod
  def from_settings(cls, settings: ObjectiveSettings) -> MultilabelSigmoid:
    del settings
    return cls()

  def __call__(
    self,
    queries_BTD: Float[Array, "B T D"],
    vectors_CD: Float[Array, "C D"],
    bias_C: Float[Array, " C"],
    targets_BTM: Int[Array, "B T M"],
    drawn: Negatives | None = None,
  ) -> Sum:
    """As for `MultilabelSoftmax`."""
    del drawn
    valid_BT = jnp.any(targets_BTM >= 0, axis=-1).astype(jnp.float32)
    scored = queries_BTD, vectors_CD, bias_C
    right_BT = label_scores(*scored, targets_BTM)
    loss = tiles.total(
      rows.sigmoid, *scored, right_BT, valid_BT, tiling=self.tiling
    )
    return Sum(loss, jnp.sum(valid_BT))
