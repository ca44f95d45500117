"""Binary cross-entropy against many negatives, made to rank as softmax does."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from tagrec_jax.core.settings import ObjectiveSettings
from tagrec_jax.core.sums import Sum
from tagrec_jax.objectives.negatives import contest


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
    right_BT = self.beta(vectors_CD.shape[0]) * jax.nn.softplus(
      -drawn.target_BT
    )
    wrong_BTK = jnp.where(
      drawn.negative_BTK, jax.nn.softplus(drawn.scores_BTK), 0.0
    )
    loss_BT = right_BT + jnp.sum(wrong_BTK, axis=-1)
    loss_BT /= drawn.weights_K.size + 1
    return Sum(jnp.sum(loss_BT * valid_BT), jnp.sum(valid_BT))
