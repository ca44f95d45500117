"""Softmax cross-entropy with the rest of the catalogue estimated."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from tagrec_jax.core.settings import ObjectiveSettings
from tagrec_jax.core.sums import Sum
from tagrec_jax.objectives.negatives import contest


@dataclasses.dataclass(frozen=True)
class SampledSoftmax:
  """log(e^s + Σ_k w_k e^(s_k)) - s, with s of the target, s_k of negatives.

  The negatives are drawn evenly, once for all questions. w_k is how many
  entries a negative stands for (log w_k is the 'log Q correction'), so that
  inside the logarithm stands an unbiased estimate of the softmax's sum; with as
  many negatives as entries it is the softmax. A negative that is the target is
  left out. Memory grows with questions · negatives; a few thousand negatives
  cost as much as `Softmax` over ten thousand entries.

  Source: Bengio & Senecal 2008, Adaptive importance sampling to accelerate
  training of a neural probabilistic language model, for the correction.

  Attributes:
    negatives: how many are drawn.
  """

  negatives: int

  @classmethod
  def from_settings(cls, settings: ObjectiveSettings) -> SampledSoftmax:
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
    scores_BTK = drawn.scores_BTK + np.log(drawn.weights_K)[None, None]
    scores_BTK = jnp.where(drawn.negative_BTK, scores_BTK, -jnp.inf)
    # Relative to the target, whose own e^0 is the 0 that is padded on.
    margins_BTK = scores_BTK - drawn.target_BT[..., None]
    loss_BT = jax.nn.logsumexp(
      jnp.pad(margins_BTK, ((0, 0), (0, 0), (1, 0))), axis=-1
    )
    return Sum(jnp.sum(loss_BT * valid_BT), jnp.sum(valid_BT))
