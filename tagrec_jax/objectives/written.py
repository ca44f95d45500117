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
