"""Bayesian personalised ranking: the target before each negative."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from tagrec_jax.core.settings import ObjectiveSettings
from tagrec_jax.core.sums import Sum
from tagrec_jax.objectives.negatives import draw, negative_scores
from tagrec_jax.objectives.scores import target_scores


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
    entries_K, _ = draw(key, vectors_CD.shape[0], self.negatives)
    scored = queries_BTD, vectors_CD, bias_C, targets_BT
    target_BT = target_scores(*scored)
    scores_BTK, negative_BTK = negative_scores(*scored, entries_K)
    losses_BTK = jax.nn.softplus(scores_BTK - target_BT[..., None])
    total_BT = jnp.sum(jnp.where(negative_BTK, losses_BTK, 0.0), axis=-1)
    loss_BT = total_BT / jnp.maximum(jnp.sum(negative_BTK, axis=-1), 1)
    return Sum(jnp.sum(loss_BT * valid_BT), jnp.sum(valid_BT))
