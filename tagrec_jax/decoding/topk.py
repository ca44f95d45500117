"""The best K of a catalogue: sorted, without repeats, ties by smaller index.

`lax.top_k` costs ten times a pass over its input, so it is kept to few entries.
The catalogue is cut into blocks of neighbours; *the k best entries lie in the k
blocks with the largest maxima*, where ties of blocks too go to the smaller
index. Proof: a block that is left out has k blocks before it. Each of those
holds an entry, its maximum, which is larger than all entries of the block left
out, or equal and of smaller index. So k entries stand before any of its own.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tagrec_jax.core.axes import UNKNOWN

NEVER = -jnp.inf
"""The score of what must not be recommended; it never enters a list."""

_BLOCK = 64
"""Neighbours whose scores `top_k_tiled` keeps as one maximum."""


def comparable(
  scores_BC: Float[Array, "*any C"],
) -> Float[Array, "*any C"]:
  """Scores that sort as numbers: NaN is the worst, and -0.0 equals 0.0.

  Without this `lax.top_k` puts NaN first and -0.0 after 0.0.
  """
  scores_BC = scores_BC.astype(jnp.float32)
  scores_BC = jnp.where(scores_BC == 0, 0.0, scores_BC)
  return jnp.where(jnp.isnan(scores_BC), NEVER, scores_BC)


def overwrite(
  scores_BC: Float[Array, "B C"], ids_BH: Int[Array, "B H"], value: float
) -> Float[Array, "B C"]:
  """Gives the listed items of each row one score.

  Ids outside the catalogue (padding, unknown items) change nothing: a bare
  -1 would be the last item.
  """
  catalogue = scores_BC.shape[1]
  rows_B1 = jnp.arange(scores_BC.shape[0])[:, None]
  columns_BH = jnp.where(ids_BH < 0, catalogue, ids_BH)
  return scores_BC.at[rows_B1, columns_BH].set(value, mode="drop")


def largest(
  scores_BC: Float[Array, "B C"], k: int
) -> tuple[Int[Array, "B K"], Float[Array, "B K"]]:
  """Indices and scores of the best k, best first.

  Places for which nothing is left hold UNKNOWN with score -inf.

  Args:
    scores_BC: as `comparable` makes them.
  """
  return _padded(*_best(scores_BC, k), k)


@functools.partial(jax.jit, static_argnames="k")
def top_k(
  scores_BC: Float[Array, "B C"], k: int, seen_BH: Int[Array, "B H"]
) -> tuple[Int[Array, "B K"], Float[Array, "B K"]]:
  """The k best items that were not seen.

  Args:
    scores_BC: higher is better; NaN and -inf are never recommended.
    k: length of the list; may exceed the catalogue.
    seen_BH: items to leave out, padded with UNKNOWN.

  Returns:
    Indices and scores, best first, equal scores by smaller index. Places for
    which nothing is left hold UNKNOWN with score -inf.
  """
  return largest(overwrite(comparable(scores_BC), seen_BH, NEVER), k)


@functools.partial(jax.jit, static_argnames=("k", "tile"))
def top_k_tiled(
  query_BD: Float[Array, "B D"],
  vectors_CD: Float[Array, "C D"],
  bias_C: Float[Array, " C"],
  k: int,
  seen_BH: Int[Array, "B H"],
  tile: int = 1024,
) -> tuple[Int[Array, "B K"], Float[Array, "B K"]]:
  """`top_k` of query · vectors + bias, a tile of the catalogue at a time.

  Holds the maxima of blocks, [B, C / 64], never [B, C]. The scores of the k
  best blocks are computed again, which rounds as it likes: scores that differ
  by less than that may change places.

  Args:
    tile: entries scored at a time, a multiple of 64.

  Returns:
    As `top_k`.
  """
  catalogue = vectors_CD.shape[0]
  tile = min(tile, catalogue)

  def maxima(start, size):
    scores_BX = jnp.einsum(
      "BD,XD->BX",
      query_BD,
      jax.lax.dynamic_slice_in_dim(vectors_CD, start, size),
      precision=jax.lax.Precision.HIGHEST,
      preferred_element_type=jnp.float32,
    )
    scores_BX += jax.lax.dynamic_slice_in_dim(bias_C, start, size)[None]
    scores_BX = overwrite(comparable(scores_BX), seen_BH - start, NEVER)
    return _maxima(scores_BX, _BLOCK)

  def keep(start, size, maxima_BG):
    return jax.lax.dynamic_update_slice_in_dim(
      maxima_BG, maxima(start, size), start // _BLOCK, axis=1
    )

  blocks = -(-catalogue // _BLOCK)
  maxima_BG = jnp.full((query_BD.shape[0], blocks), NEVER)
  whole = catalogue // tile
  maxima_BG = jax.lax.fori_loop(
    0, whole, lambda n, kept: keep(n * tile, tile, kept), maxima_BG
  )
  if rest := catalogue % tile:
    maxima_BG = keep(whole * tile, rest, maxima_BG)

  def rescore(block_B):
    ids_BX = _members(block_B[:, None], _BLOCK)
    scores_BX = jnp.einsum(
      "BD,BXD->BX",
      query_BD,
      vectors_CD.at[ids_BX].get(mode="clip"),
      precision=jax.lax.Precision.HIGHEST,
      preferred_element_type=jnp.float32,
    )
    scores_BX = comparable(scores_BX + bias_C.at[ids_BX].get(mode="clip"))
    scores_BX = jnp.where(ids_BX < catalogue, scores_BX, NEVER)
    return overwrite(scores_BX, seen_BH - ids_BX[:, :1], NEVER)

  blocks_BK = _best_blocks(maxima_BG, k)
  scores_KBX = jax.lax.map(rescore, blocks_BK.T)
  scores_BX = jnp.moveaxis(scores_KBX, 0, 1).reshape(query_BD.shape[0], -1)
  places_BK, best_BK = _best(scores_BX, k)
  ids_BX = _members(blocks_BK, _BLOCK)
  return _padded(jnp.take_along_axis(ids_BX, places_BK, axis=1), best_BK, k)


def _best(scores_BC: Array, k: int) -> tuple[Array, Array]:
  """Indices and scores of the best min(k, C), best first."""
  catalogue = scores_BC.shape[1]
  # With this many the blocks are about as many as the members of the best k.
  size = min(64, 2 ** round(math.log2(max(1, catalogue / k)) / 2))
  if size < 16:  # then the detour costs as much as it saves
    best_BK, ids_BK = jax.lax.top_k(scores_BC, min(k, catalogue))
    return ids_BK.astype(jnp.int32), best_BK
  ids_BX = _members(_best_blocks(_maxima(scores_BC, size), k), size)
  scores_BX = jnp.take_along_axis(
    scores_BC, ids_BX, axis=1, mode="fill", fill_value=NEVER
  )
  places_BK, best_BK = _best(scores_BX, k)
  return jnp.take_along_axis(ids_BX, places_BK, axis=1), best_BK


def _maxima(scores_BC: Array, size: int) -> Array:
  """The largest score of each block; the last block may be smaller."""
  whole = (1, size)
  missing = ((0, 0), (0, -scores_BC.shape[1] % size))
  return jax.lax.reduce_window(
    scores_BC, NEVER, jax.lax.max, whole, whole, missing
  )


def _best_blocks(maxima_BG: Array, k: int) -> Array:
  """The blocks with the k largest maxima, in the order of the catalogue.

  In this order a tie of two members still goes to the smaller index.
  """
  blocks_BK, _ = _best(maxima_BG, k)
  return jnp.sort(blocks_BK, axis=1)


def _members(blocks_BK: Array, size: int) -> Array:
  """The entries of some blocks, one block after the other."""
  inside_11X = jnp.arange(size, dtype=jnp.int32)[None, None]
  ids_BKX = blocks_BK[:, :, None] * size + inside_11X
  return ids_BKX.reshape(blocks_BK.shape[0], -1)


def _padded(ids_BK: Array, best_BK: Array, k: int) -> tuple[Array, Array]:
  """Length k, and UNKNOWN wherever the score is -inf."""
  missing = ((0, 0), (0, k - ids_BK.shape[1]))
  best_BK = jnp.pad(best_BK, missing, constant_values=NEVER)
  ids_BK = jnp.pad(ids_BK, missing, constant_values=UNKNOWN)
  return jnp.where(best_BK == NEVER, UNKNOWN, ids_BK), best_BK
