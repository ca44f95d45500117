"""The likelihood of what is to be written, token by token."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from tagrec_jax.core.sums import Sum


def code_loss(
  logits_BTLK: Float[Array, "B T L K"],
  may_BTLK: Bool[Array, "B T L K"],
  codes_BTL: Int[Array, "B T L"],
) -> Sum:
  """-log p of whole sequences of codes, over all that count.

  A code competes with those alone that could have stood in its place, so the
  probabilities of all products sum to 1, as in a beam search under a trie.

  Args:
    may_BTLK: which codes lead on to a product, after those before.
    codes_BTL: the right ones; negative where nothing is asked.

  Returns:
    The sum over products, with their number as weight.
  """
  counted_BT = (codes_BTL >= 0).all(axis=2)
  may_BTLK = may_BTLK | ~counted_BT[..., None, None]
  logits_BTLK = jnp.where(may_BTLK, logits_BTLK.astype(jnp.float32), -1e30)
  right_BTL = jnp.take_along_axis(
    logits_BTLK, jnp.maximum(codes_BTL, 0)[..., None], axis=3
  )[..., 0]
  lost_BTL = jax.nn.logsumexp(logits_BTLK, axis=3) - right_BTL
  lost_BT = jnp.where(counted_BT, lost_BTL.sum(axis=2), 0.0)
  return Sum(lost_BT.sum(), counted_BT.sum(dtype=jnp.float32))


def set_loss(
  logits_BTV: Float[Array, "B T V"], tags_BM: Int[Array, "B M"]
) -> Sum:
  """Cross-entropy of what comes next of a set that is written in some order.

  At each place any tag not yet written is as right as another: the target is
  uniform over them, and the end once none is left. What is written competes no
  more. So the loss is the same whatever order the rest will have.

  Args:
    logits_BTV: at each place, the last one that of the end.
    tags_BM: in the order in which they are written, padded by UNKNOWN at the
      end; distinct. Places after the end, and rows without tags, do not count.

  Returns:
    The sum over all places that count, with their number as weight.
  """
  T, end = logits_BTV.shape[1], logits_BTV.shape[2] - 1
  logits_BTV = logits_BTV.astype(jnp.float32)
  there_BM = tags_BM >= 0
  count_B1 = there_BM.sum(axis=1, keepdims=True)
  place_T, number_M = jnp.arange(T), jnp.arange(tags_BM.shape[1])
  before_1TM = (number_M[None] < place_T[:, None])[None]
  rows_B11 = jnp.arange(len(tags_BM))[:, None, None]
  written_BTM = jnp.where(before_1TM & there_BM[:, None], tags_BM[:, None], end)
  # The end is never written before something else: it stands for none.
  free_BTV = jnp.ones(logits_BTV.shape, bool)
  free_BTV = free_BTV.at[rows_B11, place_T[None, :, None], written_BTM].set(
    False
  )
  free_BTV = free_BTV.at[:, :, end].set(True)
  every_BT = jax.nn.logsumexp(jnp.where(free_BTV, logits_BTV, -1e30), axis=2)
  own_BTM = jnp.take_along_axis(
    logits_BTV, jnp.maximum(tags_BM, 0)[:, None], axis=2
  )
  left_BTM = ~before_1TM & there_BM[:, None]
  left_BT = left_BTM.sum(axis=2)
  mean_BT = jnp.where(left_BTM, own_BTM, 0.0).sum(axis=2)
  mean_BT = mean_BT / jnp.maximum(left_BT, 1)
  right_BT = jnp.where(left_BT > 0, mean_BT, logits_BTV[:, :, end])
  counts_BT = (place_T[None] <= count_B1) & (count_B1 > 0)
  lost_BT = jnp.where(counts_BT, every_BT - right_BT, 0.0)
  return Sum(lost_BT.sum(), counts_BT.sum(dtype=jnp.float32))
