"""Bayesian personalised ranking: the target before each negative."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tagrec_jax.core.settings import ObjectiveSettings
from tagrec_jax.core.sums import Sum
from tagrec_jax.objectives.negatives import Negatives, contest
from tagrec_jax.objectives.rows import Tile


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
    drawn: Negatives,
  ) -> Sum:
    """Adds up the loss of all questions that have a target.

    Args:
      targets_BT: catalogue index; negative where there is no question.
      drawn: the negatives.
    """
    scored = queries_BTD, vectors_CD, bias_C, targets_BT
    return contest(_pairs, *scored, drawn)


def _pairs(
  tile: Tile,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
  """Σ log(1 + exp(wrong - right)) / how many are wrong."""
  margins_NC = tile.scores_NC - tile.right_N[:, None]
  wrong_NC = tile.wrong_NC
  factor_N = 1.0 / jnp.maximum(tile.sum(wrong_NC), 1.0)
  losses_NC = jnp.where(wrong_NC, jax.nn.softplus(margins_NC), 0.0)
  slopes_NC = jnp.where(wrong_NC, jax.nn.sigmoid(margins_NC), 0.0)
  return (
    tile.sum(losses_NC) * factor_N,
    slopes_NC,
    factor_N,
    -tile.sum(slopes_NC) * factor_N,
  )
