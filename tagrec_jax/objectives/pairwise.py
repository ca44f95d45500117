"""Bayesian personalised ranking: the target before each negative."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from tagrec_jax.core.settings import ObjectiveSettings
from tagrec_jax.core.sums import Sum
from tagrec_jax.objectives.negatives import contest


@dataclasses.dataclass(frozen=True)
class BPR:
  """-log σ(s - s_k), averaged over a question's negatives k.

  The negatives are shared by all questions; one that is the target is left out.
  Source: Rendle et al. 2009, BPR: Bayesian personalized ranking from implicit
  feedback (UAI '09).

  Attributes:
    negatives: how many are drawn.
  """

  negatives: int

  @classmethod
  def from_settings(cls, settings: ObjectiveSettings) -> BPR:
    return cls(settings.negatives)

  def __call__(
    self,
    queries_BTD: Float[Array, "B T D"],
    vectors_CD: Float[Array, "C D"],
    bias_C: Float[Array, " C"],
    targets_BT: Int[Array, "B T"],
    key: Key[Array, ""],
  ) -> Sum:
    """Adds up the loss of all questions that have a target.

    Args:
      targets_BT: catalogue index; negative where there is no question.
      key: draws the negatives.
    """
    valid_BT = (targets_BT >= 0).astype(jnp.float32)
    drawn = contest(
      queries_BTD, vectors_CD, bias_C, targets_BT, key, self.negatives
    )
    margins_BTK = drawn.scores_BTK - drawn.target_BT[..., None]
    losses_BTK = jnp.where(
      drawn.negative_BTK, jax.nn.softplus(margins_BTK), 0.0
    )
    negatives_BT = jnp.sum(drawn.negative_BTK, axis=-1)
    loss_BT = jnp.sum(losses_BTK, axis=-1) / jnp.maximum(negatives_BT, 1)
    return Sum(jnp.sum(loss_BT * valid_BT), jnp.sum(valid_BT))
