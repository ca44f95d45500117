"""Softmax cross-entropy with the rest of the catalogue estimated."""

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
class SampledSoftmax:
  """log(e^s + Σ_k w_k e^(s_k)) - s, with s of the target, s_k of negatives.

  The negatives are drawn evenly, once for all questions. w_k is how many
  entries a negative stands for (log w_k is the 'log Q correction'), so that
  inside the logarithm stands an unbiased estimate of the softmax's sum; with as
  many negatives as entries it is the softmax. A negative that is the target is
  left out.

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
    drawn: Negatives,
  ) -> Sum:
    """Adds up the loss of all questions that have a target.

    Args:
      targets_BT: catalogue index; negative where there is no question.
      drawn: the negatives.
    """
    return contest(
      _against_negatives,
      queries_BTD,
      vectors_CD,
      bias_C,
      targets_BT,
      drawn,
      np.log(drawn.weights_K),
    )


def _against_negatives(
  tile: Tile,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
  """log(exp(right) + Σ exp(wrong)) - right."""
  shift_N = tile.shift()
  slopes_NC = jnp.where(tile.wrong_NC, tile.exp(shift_N), 0)
  right_N = jnp.exp(tile.right_N - shift_N)
  sum_N = right_N + tile.sum(slopes_NC)
  value_N = shift_N + jnp.log(sum_N) - tile.right_N
  return value_N, slopes_NC, 1.0 / sum_N, right_N / sum_N - 1.0
