"""Losses for questions with a set of right answers, such as tags."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.settings import ObjectiveSettings
from tagrec_jax.core.sums import Sum
from tagrec_jax.data.tag_counts import TagCounts
from tagrec_jax.objectives import label_rows, rows, tiles
from tagrec_jax.objectives.negatives import Negatives
from tagrec_jax.objectives.scores import label_scores


@dataclasses.dataclass(frozen=True, kw_only=True)
class Multilabel:
  """What all of them share: labels, how much they count, how tiles are cut.

  Attributes:
    weights: float32 [C], how much each label counts; None: all alike.
    tiling: how large tiles are.
  """

  negatives: ClassVar[int] = 0
  weights: np.ndarray | None = dataclasses.field(default=None, compare=False)
  tiling: tiles.Tiling = tiles.DEFAULT

  @classmethod
  def from_settings(
    cls, settings: ObjectiveSettings, counts: TagCounts
  ) -> Multilabel:
    """The loss, with weights from the labels' propensities."""
    return cls(
      weights=counts.weights(settings.propensity_weight),
      tiling=tiles.Tiling.from_settings(settings),
    )

  def _labels(
    self, targets_BTM: jax.Array, catalogue: int
  ) -> tuple[jax.Array, jax.Array]:
    """Labels of the catalogue, others as padding, and how much each counts."""
    there_BTM = (targets_BTM >= 0) & (targets_BTM < catalogue)
    targets_BTM = jnp.where(there_BTM, targets_BTM, UNKNOWN)
    share_BTM = there_BTM.astype(jnp.float32)
    if self.weights is not None:
      share_BTM *= jnp.asarray(self.weights)[jnp.maximum(targets_BTM, 0)]
    return targets_BTM, share_BTM

  def _sum(
    self,
    row: rows.Row,
    scored: tuple[jax.Array, jax.Array, jax.Array],
    labels_BTM: jax.Array,
    share_BTM: jax.Array,
  ) -> Sum:
    """Adds up a row that looks for the labels' scores itself."""
    valid_BT = jnp.any(labels_BTM >= 0, axis=-1).astype(jnp.float32)
    loss = tiles.total(
      row,
      *scored,
      jnp.zeros(valid_BT.shape),
      valid_BT,
      column_BTM=labels_BTM,
      share_BTM=share_BTM,
      tiling=self.tiling,
    )
    return Sum(loss, jnp.sum(valid_BT))


@dataclasses.dataclass(frozen=True, kw_only=True)
class MultilabelSoftmax(Multilabel):
  """-1/|Y| Σ weight · log softmax(scores)[y] over the labels y of a question.

  The softmax runs over the whole catalogue; labels compete with each other.
  Source: Joulin et al. 2016, Learning visual features from large weakly
  supervised data (arXiv 1511.02251), multi-class logistic loss.
  """

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
      targets_BTM: distinct catalogue indices; negative ids and those past the
        catalogue are no labels.
      drawn: not used, the whole catalogue takes part.
    """
    del drawn
    scored = queries_BTD, vectors_CD, bias_C
    labels_BTM, share_BTM = self._labels(targets_BTM, len(bias_C))
    labels_BT = jnp.sum(labels_BTM >= 0, axis=-1)
    share_BT = jnp.sum(share_BTM, axis=-1)
    # Softmax takes one right score a question: the mean one, by weight.
    share_BTM /= jnp.where(labels_BT > 0, share_BT, 1.0)[..., None]
    loss = tiles.total(
      rows.softmax,
      *scored,
      label_scores(*scored, labels_BTM, share_BTM),
      share_BT / jnp.maximum(labels_BT, 1),
      tiling=self.tiling,
    )
    return Sum(loss, jnp.sum(labels_BT > 0, dtype=jnp.float32))


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoupledSoftmax(Multilabel):
  """1/|Y| Σ weight · log(1 + Σ_c exp(s_c - s_y)) over the wrong entries c.

  Labels do not compete with each other: one that scores high does not push the
  others down, which matters where products have many.

  Source: Gupta et al. 2024, Dual-encoders for extreme multi-label
  classification (arXiv 2310.10636), decoupled softmax.
  """

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
    labels_BTM, share_BTM = self._labels(targets_BTM, len(bias_C))
    count_BT1 = jnp.sum(labels_BTM >= 0, axis=-1, keepdims=True)
    share_BTM /= jnp.maximum(count_BT1, 1)
    scored = queries_BTD, vectors_CD, bias_C
    return self._sum(label_rows.decoupled, scored, labels_BTM, share_BTM)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MultilabelSigmoid(Multilabel):
  """Binary cross-entropy of every catalogue entry, added up.

  Σ_{y in Y} -weight · log σ(s_y) + Σ_{c not in Y} cost(s_c) with, here,
  cost(s) = -log(1 - σ(s)).
  """

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
    scored = queries_BTD, vectors_CD, bias_C
    labels = self._labels(targets_BTM, len(bias_C))
    return self._sum(self._row(), scored, *labels)

  def _row(self) -> label_rows.Binary:
    return label_rows.Binary()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asymmetric(MultilabelSigmoid):
  """The same with cost(s) = -q^gamma · log(1 - q), q = max(σ(s) - margin, 0).

  A wrong entry that is known to be wrong costs next to nothing, so the many of
  them do not drown the few right ones.

  Source: Ridnik et al. 2021, Asymmetric loss for multi-label classification
  (ICCV '21), eq. 7 with gamma+ = 0.
  """

  gamma: float
  margin: float

  @classmethod
  def from_settings(
    cls, settings: ObjectiveSettings, counts: TagCounts
  ) -> Asymmetric:
    return cls(
      weights=counts.weights(settings.propensity_weight),
      gamma=settings.asymmetric_gamma,
      margin=settings.asymmetric_margin,
    )

  def _row(self) -> label_rows.Binary:
    return label_rows.Binary(self.gamma, self.margin)
