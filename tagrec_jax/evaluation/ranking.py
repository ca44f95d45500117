"""The rank of a target by counting who beats it: no sort, no array [B, C]."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.decoding import tiles, topk
from tagrec_jax.decoding.tiles import Part, Rows
from tagrec_jax.evaluation.protocols import UNMASKED, Protocol


@functools.partial(jax.jit, static_argnames=("protocol", "first"))
def target_ranks(
  rows: Rows,
  target_BM: Int[Array, "B M"],
  seen_BH: Int[Array, "B H"],
  protocol: Protocol,
  first: int = 0,
) -> Int[Array, "B M"]:
  """1 + how many have a higher score, or the same one and a smaller index.

  Args:
    rows: higher scores are better; NaN counts as the worst.
    target_BM: right entries of each question, UNKNOWN if there is none.
    seen_BH: entries of the person's past, padded with UNKNOWN.
    protocol: what happens to seen ones.
    first: only entries from here on are candidates.

  Returns:
    int32 in 1..C - first, or one more for a target that cannot be hit: it is
    UNKNOWN or no candidate.
  """

  def work(part: Part, target_BM: Array) -> Array:
    lowest_BM = jnp.full(target_BM.shape, topk.NEVER)
    step = functools.partial(_score, target_BM)
    score_BM = _highest(part.fold(step, lowest_BM), part.axes)
    return _count(part, target_BM, score_BM, rows.size, first)

  return tiles.on_devices(work, rows, seen_BH, protocol.seen_score, target_BM)


@functools.partial(jax.jit, static_argnames=("protocol", "k"))
def ranks_and_lists(
  rows: Rows,
  target_BM: Int[Array, "B M"],
  seen_BH: Int[Array, "B H"],
  protocol: Protocol,
  k: int,
) -> tuple[Int[Array, "B M"], Int[Array, "B K"]]:
  """`target_ranks` and the k best candidates, in one pass less."""

  def work(part: Part, target_BM: Array) -> tuple[Array, Array]:
    def step(carry: Any, scores_BX: Array, begin: Array) -> Any:
      score_BM, best = carry
      return (
        _score(target_BM, score_BM, scores_BX, begin),
        tiles.better(best, scores_BX, begin),
      )

    lowest_BM = jnp.full(target_BM.shape, topk.NEVER)
    nothing = tiles.no_best(len(target_BM), k)
    score_BM, best = part.fold(step, (lowest_BM, nothing))
    ids_BK, _ = tiles.best_of_all(best, part.axes)
    score_BM = _highest(score_BM, part.axes)
    return _count(part, target_BM, score_BM, rows.size, 0), ids_BK

  return tiles.on_devices(work, rows, seen_BH, protocol.seen_score, target_BM)


def relevant_ranks(
  rows: Rows, relevant_BM: Int[np.ndarray, "B M"], first: int = 0
) -> Int[Array, "B M"]:
  """The place of each of several relevant entries; 0 for padding.

  Args:
    first: see `target_ranks`; what comes before is like padding.
  """
  relevant_BM = np.where(relevant_BM < first, UNKNOWN, relevant_BM)
  ranks_BM = target_ranks(
    rows, relevant_BM, relevant_BM[:, :0], UNMASKED, first
  )
  return jnp.where(relevant_BM < 0, 0, ranks_BM)


def _score(
  target_BM: Array, score_BM: Array, scores_BX: Array, begin: Array
) -> Array:
  """The scores of the targets that a tile holds, and of those before."""
  place_BM = target_BM - begin
  held_BM = (place_BM >= 0) & (place_BM < scores_BX.shape[1])
  place_BM = jnp.clip(place_BM, 0, scores_BX.shape[1] - 1)
  found_BM = jnp.take_along_axis(scores_BX, place_BM, axis=1)
  found_BM = jnp.where(held_BM & (target_BM >= 0), found_BM, topk.NEVER)
  return jnp.maximum(score_BM, found_BM)


def _highest(score_BM: Array, axes: tuple[str, ...]) -> Array:
  return jax.lax.pmax(score_BM, axes) if axes else score_BM


def _count(
  part: Part, target_BM: Array, score_BM: Array, size: int, first: int
) -> Array:
  """The ranks of targets whose scores are known.

  One pass over a tile for each of the M, so that no [B, M, X] array is made.
  """

  def step(counts_MB: Array, scores_BX: Array, begin: Array) -> Array:
    ids_1X = (begin + jnp.arange(scores_BX.shape[1], dtype=jnp.int32))[None]

    def more(one: tuple[Array, Array]) -> Array:
      target_B1, score_B1 = (x[:, None] for x in one)
      better_BX = (scores_BX > score_B1) | (
        (scores_BX == score_B1) & (ids_1X < target_B1)
      )
      if first:
        better_BX &= ids_1X >= first
      return better_BX.sum(axis=1, dtype=jnp.int32)

    return counts_MB + jax.lax.map(more, (target_BM.T, score_BM.T))

  counts_BM = part.fold(step, jnp.zeros(target_BM.T.shape, jnp.int32)).T
  if part.axes:
    counts_BM = jax.lax.psum(counts_BM, part.axes)
  miss_BM = (target_BM < first) | (target_BM >= size)
  miss_BM |= score_BM == topk.NEVER
  return jnp.where(miss_BM, size - first + 1, 1 + counts_BM)
