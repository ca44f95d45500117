"""A memory of what followed what: transitions counted, not learned."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.models.baselines.markov import Markov


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TransitionMemory:
  """Probabilities of the next product from counted transitions.

  A network of width D stores the transitions among C products in rank D; pairs
  that are rare but sure are lost. The memory keeps them as they were counted,
  and `interpolate` lets it vote.

  Source: the transitions are those of `Markov`; the mixture is that of
  kNN-LM (Khandelwal et al. 2020, eq. 3).

  Attributes:
    next_CM: int32, the M products that most often followed each, padded by
      UNKNOWN.
    share_CM: float32, their probabilities.
    doubt_C: float32, the probability that follows `prior_C` instead.
    prior_C: float32, the popularity of products.
    decay: weight of an event relative to the one after it.
  """

  next_CM: Int[Array, "C M"]
  share_CM: Float[Array, "C M"]
  doubt_C: Float[Array, " C"]
  prior_C: Float[Array, " C"]
  decay: float = dataclasses.field(metadata={"static": True})

  @classmethod
  def of(
    cls,
    dataset: Dataset,
    counting: Markov | None = None,
    followers: int = 256,
  ) -> TransitionMemory:
    """Counts the training events.

    Args:
      counting: what counts as following, and how much; None for the baseline.
      followers: M; what followed a product more rarely is left to the doubt.
    """
    counted = (counting or Markov()).fit(dataset)
    votes = counted.votes.tocsr()
    size = votes.shape[0]
    width = max(1, min(followers, int(np.diff(votes.indptr).max(initial=1))))
    next_CM = np.full((size, width), UNKNOWN, np.int32)
    share_CM = np.zeros((size, width), np.float32)
    for row in range(size):
      mine = slice(votes.indptr[row], votes.indptr[row + 1])
      best = np.argsort(-votes.data[mine], kind="stable")[:width]
      next_CM[row, : len(best)] = votes.indices[mine][best]
      share_CM[row, : len(best)] = votes.data[mine][best]
    return cls(
      jnp.asarray(next_CM),
      jnp.asarray(share_CM),
      jnp.asarray(1 - share_CM.sum(1)),
      jnp.asarray(counted.prior, jnp.float32),
      counted.decay,
    )

  def __call__(self, ids_BS: Int[Array, "B S"]) -> Float[Array, "B C"]:
    """The probability of each product after a history, oldest event first.

    Negative ids are no events; without any event the answer is the prior.
    """
    known_BS = ids_BS >= 0
    later_BS = known_BS[:, ::-1].cumsum(1)[:, ::-1] - known_BS
    weight_BS = jnp.where(known_BS, self.decay**later_BS, 0.0)
    total_B1 = weight_BS.sum(1, keepdims=True)
    weight_BS = weight_BS / jnp.maximum(total_B1, 1e-12)
    rows_BS = jnp.maximum(ids_BS, 0)
    doubt_B1 = (weight_BS * self.doubt_C[rows_BS]).sum(1, keepdims=True)
    doubt_B1 = jnp.where(total_B1 > 0, doubt_B1, 1.0)
    size = self.prior_C.shape[0]
    # UNKNOWN would be the last product: it is put out of the catalogue.
    next_BSM = self.next_CM[rows_BS]
    next_BSM = jnp.where(next_BSM >= 0, next_BSM, size)
    votes_BSM = weight_BS[:, :, None] * self.share_CM[rows_BS]
    people_B11 = jnp.arange(ids_BS.shape[0])[:, None, None]
    return (
      (doubt_B1 * self.prior_C[None])
      .at[people_B11, next_BSM]
      .add(votes_BSM, mode="drop")
    )


def counting(settings: ModelSettings) -> Markov:
  """How a model's memory counts."""
  return Markov(
    window=settings.memory_window,
    smoothing=settings.memory_smoothing,
    decay=settings.memory_decay,
    reach=settings.memory_reach,
    back=settings.memory_back,
    discount=settings.memory_discount,
  )


def interpolate(
  scores_BC: Float[Array, "B C"],
  memory_BC: Float[Array, "B C"],
  weight: float,
) -> Float[Array, "B C"]:
  """log(C · ((1 - weight) · softmax(scores) + weight · memory)).

  The factor C makes 0 the score of an even guess; protocols that write 0 over
  scores would otherwise write the highest possible one.
  """
  learned_BC = jax.nn.softmax(scores_BC)
  mixed_BC = (1 - weight) * learned_BC + weight * memory_BC
  return jnp.log(scores_BC.shape[1] * mixed_BC + 1e-30)
