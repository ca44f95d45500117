"""Binary cross-entropy against many negatives, made to rank as softmax does."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from tagrec_jax.core.settings import ObjectiveSettings
from tagrec_jax.core.sums import Sum
from tagrec_jax.objectives.negatives import Negatives, contest
from tagrec_jax.objectives.rows import Tile


@dataclasses.dataclass(frozen=True)
class GBCE:
  """-(log σ(s)^β + Σ_k log(1 - σ(s_k))) / (K + 1): generalised BCE.

  With few of the catalogue's C entries drawn as negatives, plain BCE (β = 1)
  learns probabilities that are far too high. The power

    β = α (t (1 - 1/α) + 1/α),  α = K / (C - 1),

  corrects this: t = 0 is plain BCE, t = 1 (β = α) is calibrated in full.
  The K negatives are shared by all questions; one that is the target is left
  out.

  Source: Petrov & Macdonald 2023, gSASRec: reducing overconfidence in
  sequential recommendation trained with negative sampling (RecSys '23).

  Attributes:
    negatives: K, how many are drawn; at most C - 1 of them count.
    calibration: t, from 0 to 1.
  """

  negatives: int
  calibration: float

  @classmethod
  def from_settings(cls, settings: ObjectiveSettings) -> GBCE:
    return cls(settings.negatives, settings.gbce_calibration)

  def beta(self, catalogue: int) -> float:
    """The power of the target's probability, from K / (C - 1) to 1."""
    alpha = min(1.0, self.negatives / max(1, catalogue - 1))
    return alpha * (self.calibration * (1 - 1 / alpha) + 1 / alpha)

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
    row = _Calibrated(self.beta(int(drawn.weights_K.sum(dtype=np.float64))))
    scored = queries_BTD, vectors_CD, bias_C, targets_BT
    summed = contest(row, *scored, drawn)
    return Sum(summed.total / (drawn.weights_K.size + 1), summed.weight)


@dataclasses.dataclass(frozen=True)
class _Calibrated:
  """β log(1 + exp(-right)) + Σ log(1 + exp(wrong))."""

  beta: float

  def __call__(
    self, tile: Tile
  ) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    losses_NC = jax.nn.softplus(tile.scores_NC)
    slopes_NC = jax.nn.sigmoid(tile.scores_NC)
    value_N = tile.sum(jnp.where(tile.wrong_NC, losses_NC, 0.0))
    return (
      value_N + self.beta * jax.nn.softplus(-tile.right_N),
      jnp.where(tile.wrong_NC, slopes_NC, 0.0),
      jnp.ones_like(value_N),
      -self.beta * jax.nn.sigmoid(-tile.right_N),
    )
