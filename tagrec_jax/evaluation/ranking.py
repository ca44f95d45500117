"""The rank of a target by counting who beats it: one pass, no sort."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tagrec_jax.decoding import topk
from tagrec_jax.evaluation.protocols import Protocol


def candidates(
  scores_BC: Float[Array, "B C"], seen_BH: Int[Array, "B H"], protocol: Protocol
) -> Float[Array, "B C"]:
  """Scores as the protocol ranks them; -inf is no candidate."""
  scores_BC = topk.comparable(scores_BC)
  if protocol.seen_score is None:
    return scores_BC
  return topk.overwrite(scores_BC, seen_BH, protocol.seen_score)


def count_ranks(
  candidates_BC: Float[Array, "B C"], target_B: Int[Array, " B"]
) -> Int[Array, " B"]:
  """1 + how many have a higher score, or the same one and a smaller index.

  A target that is UNKNOWN or no candidate gets C + 1, below every list.
  """
  catalogue = candidates_BC.shape[1]
  target_B1 = target_B[:, None]
  score_B1 = jnp.take_along_axis(
    candidates_BC, jnp.maximum(target_B1, 0), axis=1
  )
  ids_1C = jnp.arange(catalogue, dtype=jnp.int32)[None, :]
  better_BC = (candidates_BC > score_B1) | (
    (candidates_BC == score_B1) & (ids_1C < target_B1)
  )
  rank_B = 1 + better_BC.sum(axis=1, dtype=jnp.int32)
  miss_B = (target_B < 0) | (target_B >= catalogue)
  miss_B |= score_B1[:, 0] == topk.NEVER
  return jnp.where(miss_B, catalogue + 1, rank_B)


@functools.partial(jax.jit, static_argnames="protocol")
def target_ranks(
  scores_BC: Float[Array, "B C"],
  target_B: Int[Array, " B"],
  seen_BH: Int[Array, "B H"],
  protocol: Protocol,
) -> Int[Array, " B"]:
  """The place of each person's target in the whole catalogue.

  Args:
    scores_BC: higher is better; NaN counts as the worst.
    target_B: the item taken next, UNKNOWN if it is not in the catalogue.
    seen_BH: items of the person's past, padded with UNKNOWN.
    protocol: what happens to seen items.

  Returns:
    int32 in 1..C, or C + 1 for a target that cannot be hit.
  """
  return count_ranks(candidates(scores_BC, seen_BH, protocol), target_B)


@functools.partial(jax.jit, static_argnames=("protocol", "k"))
def ranks_and_lists(
  scores_BC: Float[Array, "B C"],
  target_B: Int[Array, " B"],
  seen_BH: Int[Array, "B H"],
  protocol: Protocol,
  k: int,
) -> tuple[Int[Array, " B"], Int[Array, "B K"]]:
  """`target_ranks` and the k best candidates, masking only once."""
  candidates_BC = candidates(scores_BC, seen_BH, protocol)
  ids_BK, _ = topk.largest(candidates_BC, k)
  return count_ranks(candidates_BC, target_B), ids_BK


@jax.jit
def relevant_ranks(
  scores_BC: Float[Array, "B C"], relevant_BM: Int[Array, "B M"]
) -> Int[Array, "B M"]:
  """The place of each of several relevant entries; 0 for padding.

  One pass over the scores for each of the M, so that no [B, M, C] array is
  made.
  """
  candidates_BC = topk.comparable(scores_BC)
  ranks_MB = jax.lax.map(
    lambda target_B: count_ranks(candidates_BC, target_B), relevant_BM.T
  )
  return jnp.where(relevant_BM < 0, 0, ranks_MB.T)
