"""Cross-entropy where an answer may be generated or copied."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tagrec_jax.core.settings import ObjectiveSettings
from tagrec_jax.core.sums import Sum
from tagrec_jax.objectives import tiles
from tagrec_jax.objectives.scores import target_scores


@dataclasses.dataclass(frozen=True)
class CopySoftmax:
  """-log (generated · softmax(scores)[target] + copied(target)).

  What can be copied would never be learned by what generates, and then it is
  missing where there is nothing to copy: so the loss of the softmax alone is
  added, with a weight.

  Source: the mixture is that of pointer-generator networks (See et al. 2017,
  eq. 9).

  Attributes:
    uncopied_weight: of the loss of the softmax alone.
    tiling: see `tiles.log_sums`.
  """

  uncopied_weight: float = 1.0
  tiling: tiles.Tiling = tiles.DEFAULT

  @classmethod
  def from_settings(cls, settings: ObjectiveSettings) -> CopySoftmax:
    return cls(settings.uncopied_weight, tiles.Tiling.from_settings(settings))

  def __call__(
    self,
    queries_BTD: Float[Array, "B T D"],
    vectors_CD: Float[Array, "C D"],
    bias_C: Float[Array, " C"],
    log_generated_BT: Float[Array, "B T"],
    log_copied_BT: Float[Array, "B T"],
    targets_BT: Int[Array, "B T"],
  ) -> Sum:
    """Adds up the loss of all questions that have a target.

    Args:
      log_generated_BT: log probability that the answer is generated.
      log_copied_BT: log probability that it is copied and is the target.
      targets_BT: catalogue index; negative where there is no question.
    """
    scored = queries_BTD, vectors_CD, bias_C
    log_sums_BT = tiles.log_sums(*scored, tiling=self.tiling)
    log_own_BT = target_scores(*scored, targets_BT) - log_sums_BT
    log_both_BT = jnp.logaddexp(log_generated_BT + log_own_BT, log_copied_BT)
    loss_BT = -log_both_BT - self.uncopied_weight * log_own_BT
    asked_BT = targets_BT >= 0
    total = jnp.sum(jnp.where(asked_BT, loss_BT, 0.0))
    return Sum(total, jnp.sum(asked_BT, dtype=jnp.float32))


def mixed_scores(
  scores_BC: Float[Array, "B C"],
  log_generated_B: Float[Array, " B"],
  copied_BX: Int[Array, "B X"],
  log_copied_BX: Float[Array, "B X"],
) -> Float[Array, "B C"]:
  """log of the probability of each entry, generated or copied.

  Args:
    copied_BX: entries that may be copied, repeats among them; negative ones are
      none.
    log_copied_BX: log probability that each of them is.
  """
  size = scores_BC.shape[1]
  generated_BC = jax.nn.softmax(scores_BC) * jnp.exp(log_generated_B)[:, None]
  rows_B1 = jnp.arange(len(scores_BC))[:, None]
  columns_BX = jnp.where(copied_BX < 0, size, copied_BX)
  both_BC = generated_BC.at[rows_B1, columns_BX].add(
    jnp.exp(log_copied_BX), mode="drop"
  )
  # The smallest normal float32: what is less likely is as unlikely.
  return jnp.log(jnp.maximum(both_BC, jnp.finfo(jnp.float32).tiny))
