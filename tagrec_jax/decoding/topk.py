"""The best K of a catalogue: sorted, without repeats, ties by smaller index."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tagrec_jax.core.axes import UNKNOWN

NEVER = -jnp.inf
"""The score of what must not be recommended; it never enters a list."""


def comparable(scores_BC: Float[Array, "B C"]) -> Float[Array, "B C"]:
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
  """
  found = min(k, scores_BC.shape[1])
  best_BK, ids_BK = jax.lax.top_k(scores_BC, found)
  return _pad(ids_BK.astype(jnp.int32), best_BK, k)


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
  tile: int = 4096,
) -> tuple[Int[Array, "B K"], Float[Array, "B K"]]:
  """`top_k` of query · vectors + bias, a tile of the catalogue at a time.

  Holds [B, K + tile] scores, never [B, C]; for catalogues of millions.

  Returns:
    As `top_k`.
  """
  rows, catalogue = query_BD.shape[0], vectors_CD.shape[0]
  tile = min(tile, catalogue)

  def merge(best, begin):
    # The last tile is moved back to stay inside the catalogue, which avoids a
    # padded copy of the vectors; what it shows a second time is masked.
    start = jnp.minimum(begin, catalogue - tile)
    vectors_XD = jax.lax.dynamic_slice_in_dim(vectors_CD, start, tile)
    bias_X = jax.lax.dynamic_slice_in_dim(bias_C, start, tile)
    scores_BX = jnp.einsum(
      "BD,XD->BX", query_BD, vectors_XD, preferred_element_type=jnp.float32
    )
    scores_BX = comparable(scores_BX + bias_X[None, :])
    ids_X = start + jnp.arange(tile, dtype=jnp.int32)
    scores_BX = jnp.where((ids_X >= begin)[None, :], scores_BX, NEVER)
    inside_BH = (seen_BH >= start) & (seen_BH < start + tile)
    local_BH = jnp.where(inside_BH, seen_BH - start, UNKNOWN)
    scores_BX = overwrite(scores_BX, local_BH, NEVER)
    # Earlier tiles stand first, so a stable top_k keeps the smaller index.
    best_ids_BK, best_BK = best
    ids_BX = jnp.broadcast_to(ids_X[None, :], (rows, tile))
    all_ids = jnp.concatenate([best_ids_BK, ids_BX], axis=1)
    all_scores = jnp.concatenate([best_BK, scores_BX], axis=1)
    best_BK, places_BK = jax.lax.top_k(all_scores, k)
    return (jnp.take_along_axis(all_ids, places_BK, axis=1), best_BK), None

  nothing = (
    jnp.full((rows, k), UNKNOWN, jnp.int32),
    jnp.full((rows, k), NEVER, jnp.float32),
  )
  begins = jnp.arange(0, catalogue, tile, dtype=jnp.int32)
  (ids_BK, best_BK), _ = jax.lax.scan(merge, nothing, begins)
  return _pad(ids_BK, best_BK, k)


def _pad(ids_BK: Array, best_BK: Array, k: int) -> tuple[Array, Array]:
  """Length k, and UNKNOWN wherever the score is -inf."""
  missing = ((0, 0), (0, k - ids_BK.shape[1]))
  best_BK = jnp.pad(best_BK, missing, constant_values=NEVER)
  ids_BK = jnp.pad(ids_BK, missing, constant_values=UNKNOWN)
  return jnp.where(best_BK == NEVER, UNKNOWN, ids_BK), best_BK
