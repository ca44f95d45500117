"""All questions against a part of the catalogue, for very large catalogues.

The sum of exponentials is carried from part to part; the backward pass computes
the scores of each part again. Four matrix products, and never more memory than
one part needs.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import lax

from tagrec_jax.objectives.question_tiles import scaled
from tagrec_jax.objectives.scores import dot
from tagrec_jax.objectives.split import Split


@runtime_checkable
class Tiles(Protocol):
  """How one device goes through its part of a catalogue."""

  def sums(
    self, queries_ND: jax.Array, vectors_CD: jax.Array, bias_C: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """(largest score, Σ exp(score - largest)) of each question, float32."""

  def gradients(
    self,
    queries_ND: jax.Array,
    slope_N: jax.Array,
    log_sum_N: jax.Array,
    vectors_CD: jax.Array,
    bias_C: jax.Array,
  ) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Of Σ slope · log sum, for queries, vectors and bias, all float32.

    Those of queries are still to be multiplied by the slope.
    """


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def log_sums(
  tiles: Tiles,
  split: Split,
  queries_BTD: jax.Array,
  vectors_CD: jax.Array,
  bias_C: jax.Array,
) -> jax.Array:
  """log Σ exp(scores) of each question, float32 [B, T].

  Args:
    tiles: of what each device holds; must be hashable.
  """
  return _forward(tiles, split, queries_BTD, vectors_CD, bias_C)[0]


def _forward(
  tiles: Tiles,
  split: Split,
  queries_BTD: jax.Array,
  vectors_CD: jax.Array,
  bias_C: jax.Array,
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
  def local(queries_BTD, vectors_CD, bias_C):
    B, T, D = queries_BTD.shape
    queries_ND = queries_BTD.reshape(B * T, D)
    top_N, sum_N = tiles.sums(queries_ND, vectors_CD, bias_C)
    if split.catalogue:
      own_N, top_N = top_N, lax.pmax(top_N, split.catalogue)
      sum_N = split.sum_over_catalogue(sum_N * jnp.exp(own_N - top_N))
    return ((top_N + jnp.log(sum_N)).reshape(B, T),)

  run = split.run(local, "BCC", "B")
  (log_sum_BT,) = run(queries_BTD, vectors_CD, bias_C)
  return log_sum_BT, (queries_BTD, vectors_CD, bias_C, log_sum_BT)


def _backward(
  tiles: Tiles,
  split: Split,
  saved: tuple[jax.Array, ...],
  slope_BT: jax.Array,
) -> tuple[jax.Array, ...]:
  queries_BTD, vectors_CD, bias_C, log_sum_BT = saved

  def local(queries_BTD, vectors_CD, bias_C, slope_BT, log_sum_BT):
    B, T, D = queries_BTD.shape
    slope_N = slope_BT.reshape(B * T)
    grads_ND, *tables = tiles.gradients(
      queries_BTD.reshape(B * T, D),
      slope_N,
      log_sum_BT.reshape(B * T),
      vectors_CD,
      bias_C,
    )
    grads_ND = split.sum_over_catalogue(grads_ND) * slope_N[:, None]
    table_CD, table_C = split.sum_over_batch(tables)
    return (
      grads_ND.reshape(B, T, D).astype(queries_BTD.dtype),
      table_CD.astype(vectors_CD.dtype),
      table_C.astype(bias_C.dtype),
    )

  run = split.run(local, "BCCBB", "BCC")
  return run(queries_BTD, vectors_CD, bias_C, slope_BT, log_sum_BT)


log_sums.defvjp(_forward, _backward)


@dataclasses.dataclass(frozen=True)
class XlaTiles:
  """See `Tiles`: loops that XLA compiles, for any device.

  Attributes:
    entries: of the catalogue, in a tile; at most as many as there are.
  """

  entries: int

  def sums(
    self, queries_ND: jax.Array, vectors_CD: jax.Array, bias_C: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    def tile(state, start):
      top_N, sum_N = state
      _, rows_CD, part_C = self._part(start, vectors_CD, bias_C)
      rows_CD = rows_CD.astype(queries_ND.dtype)
      scores_NC = dot("ND,CD->NC", queries_ND, rows_CD) + part_C[None]
      new_N = jnp.maximum(top_N, jnp.max(scores_NC, axis=1))
      sum_N *= jnp.exp(top_N - new_N)
      sum_N += jnp.sum(jnp.exp(scores_NC - new_N[:, None]), axis=1)
      return (new_N, sum_N), None

    N, C = queries_ND.shape[0], vectors_CD.shape[0]
    lowest_N = jnp.full((N,), jnp.finfo(jnp.float32).min)
    start = lowest_N, jnp.zeros((N,))
    state, _ = lax.scan(tile, start, jnp.arange(0, C, self.entries))
    return state

  def gradients(
    self,
    queries_ND: jax.Array,
    slope_N: jax.Array,
    log_sum_N: jax.Array,
    vectors_CD: jax.Array,
    bias_C: jax.Array,
  ) -> tuple[jax.Array, jax.Array, jax.Array]:
    (N, D), dtype = queries_ND.shape, queries_ND.dtype
    C = vectors_CD.shape[0]
    scaled_DN = scaled(queries_ND, slope_N)

    def tile(sums, start):
      grads_ND, table_CD, table_C = sums
      first, rows_CD, part_C = self._part(start, vectors_CD, bias_C)
      rows_CD = rows_CD.astype(dtype)
      products_NC = dot("ND,CD->NC", queries_ND, rows_CD)
      p_NC = jnp.exp(products_NC + part_C[None] - log_sum_N[:, None])
      p_NC = p_NC.astype(dtype)
      grads_ND += dot("NC,CD->ND", p_NC, rows_CD)
      share_DC = dot("DN,NC->DC", scaled_DN, p_NC)
      # The gradient is built where it will stay: it may be all that fits.
      table_CD = _added(table_CD, share_DC[:D].T, first)
      return (grads_ND, table_CD, _added(table_C, share_DC[D], first)), None

    start = jnp.zeros((N, D)), jnp.zeros((C, D)), jnp.zeros(C)
    sums, _ = lax.scan(tile, start, jnp.arange(0, C, self.entries))
    return sums

  def _part(
    self, start: jax.Array, vectors_CD: jax.Array, bias_C: jax.Array
  ) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Rows from start on, moved back where they would pass the end.

    Returns:
      The first row taken, the rows, and their bias: -inf for the rows that an
      earlier part has already counted.
    """
    part = self.entries
    first = jnp.minimum(start, vectors_CD.shape[0] - part)
    rows_CD = lax.dynamic_slice_in_dim(vectors_CD, first, part)
    bias_C = lax.dynamic_slice_in_dim(bias_C, first, part)
    counted_C = first + jnp.arange(part) < start
    return first, rows_CD, jnp.where(counted_C, -jnp.inf, bias_C)


def _added(table: jax.Array, share: jax.Array, first: jax.Array) -> jax.Array:
  """The table with a share added to some of its rows."""
  share += lax.dynamic_slice_in_dim(table, first, share.shape[0])
  return lax.dynamic_update_slice_in_dim(table, share, first, 0)
