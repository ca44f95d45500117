"""Some questions against the whole catalogue, gradients in the same pass.

A tile gives its share of the value and, while its scores are still in the
cache, its share of all gradients for a cotangent of 1; the backward pass only
scales them. Three matrix products in all. A CPU is bound by passes over memory
as much as by arithmetic, so factors are applied to the small operands of the
products, never to a tile.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from tagrec_jax.objectives.rows import Row, Tile
from tagrec_jax.objectives.scores import dot
from tagrec_jax.objectives.split import Split


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def question_tiles(
  row: Row,
  tile_questions: int,
  split: Split,
  queries_BTD: jax.Array,
  vectors_CD: jax.Array,
  bias_C: jax.Array,
  right_BT: jax.Array,
  column_BTM: jax.Array,
  share_BTM: jax.Array,
  weights_BT: jax.Array,
) -> jax.Array:
  """Σ weight · row(scores), without gradients where none are asked for.

  Args:
    tile_questions: how many questions of one device make a tile, about.
  """

  def local(queries_BTD, vectors_CD, bias_C, *of_questions):
    cast_CD = vectors_CD.astype(queries_BTD.dtype)
    look = _looker(split, cast_CD, bias_C)

    def tile(total, inputs):
      *inputs, weights_N = inputs
      value_N, _, _, _ = row(look(*inputs))
      return total + jnp.sum(value_N * weights_N), None

    slices = _slices(tile_questions, queries_BTD, *of_questions)
    total, _ = lax.scan(tile, jnp.zeros(()), slices)
    return (split.sum_over_batch(total),)

  run = split.run(local, "BCCBBBB", "-")
  asked = right_BT, column_BTM, share_BTM, weights_BT
  (total,) = run(queries_BTD, vectors_CD, bias_C, *asked)
  return total


def _forward(
  row: Row,
  tile_questions: int,
  split: Split,
  queries_BTD: jax.Array,
  vectors_CD: jax.Array,
  bias_C: jax.Array,
  right_BT: jax.Array,
  column_BTM: jax.Array,
  share_BTM: jax.Array,
  weights_BT: jax.Array,
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
  def local(queries_BTD, vectors_CD, bias_C, *of_questions):
    B, T, D = queries_BTD.shape
    dtype = queries_BTD.dtype
    cast_CD = vectors_CD.astype(dtype)
    look = _looker(split, cast_CD, bias_C)

    def tile(sums, inputs):
      total, table_DC = sums
      *inputs, weights_N = inputs
      value_N, slopes_NC, factor_N, right_N = row(look(*inputs))
      total += jnp.sum(value_N * weights_N)
      slopes_NC, factor_N = slopes_NC.astype(dtype), factor_N * weights_N
      grads_ND = dot("NC,CD->ND", slopes_NC, cast_CD) * factor_N[:, None]
      table_DC += dot("DN,NC->DC", scaled(inputs[0], factor_N), slopes_NC)
      return (total, table_DC), (grads_ND, right_N * weights_N)

    slices = _slices(tile_questions, queries_BTD, *of_questions)
    start = jnp.zeros(()), jnp.zeros((D + 1, cast_CD.shape[0]))
    (total, table_DC), grads = lax.scan(tile, start, slices)
    total, table_DC = split.sum_over_batch((total, table_DC))
    grads_BTD, right_BT = (_unsliced(grad, B, T) for grad in grads)
    return (
      total,
      split.sum_over_catalogue(grads_BTD).astype(dtype),
      table_DC[:D].T.astype(vectors_CD.dtype),
      table_DC[D].astype(bias_C.dtype),
      right_BT,
    )

  run = split.run(local, "BCCBBBB", "-BCCB")
  asked = right_BT, column_BTM, share_BTM, weights_BT
  total, *grads = run(queries_BTD, vectors_CD, bias_C, *asked)
  return total, tuple(grads)


def _backward(
  row: Row,
  tile_questions: int,
  split: Split,
  grads: tuple[jax.Array, ...],
  cotangent: jax.Array,
) -> tuple[jax.Array | None, ...]:
  del row, tile_questions, split
  return *((g * cotangent).astype(g.dtype) for g in grads), None, None, None


question_tiles.defvjp(_forward, _backward)


def scaled(queries_ND: jax.Array, factor_N: jax.Array) -> jax.Array:
  """[D + 1, N]: queries times a factor, and the factor in a last row.

  Its product with the slopes is the gradient of the vectors and, in the last
  row, of the bias. The barrier keeps XLA from folding the transposition into
  that product: its CPU backend is slow at products whose left operand does not
  lie row after row, and in bfloat16 may have none at all.
  """
  ones_N = jnp.ones_like(factor_N)[None]
  wide_DN = jnp.concatenate([queries_ND.astype(jnp.float32).T, ones_N])
  wide_DN = (wide_DN * factor_N[None]).astype(queries_ND.dtype)
  return lax.optimization_barrier(wide_DN)


def _looker(
  split: Split, vectors_CD: jax.Array, bias_C: jax.Array
) -> Callable[..., Tile]:
  """(queries_ND, right_N, column_NM, share_NM) → their tile on this device."""
  axes = split.catalogue
  largest = jnp.max(_lengths(vectors_CD)), jnp.max(jnp.abs(bias_C))
  length, bias = lax.pmax(largest, axes) if axes else largest
  before = lax.axis_index(axes) * bias_C.shape[0] if axes else 0

  def look(queries_ND, right_N, column_NM, share_NM):
    # Cauchy-Schwarz; a right answer may be none of the columns.
    reach_N = _lengths(queries_ND) * length + bias
    return Tile(
      dot("ND,CD->NC", queries_ND, vectors_CD),
      bias_C,
      right_N,
      column_NM - before,
      share_NM,
      queries_ND.dtype,
      jnp.maximum(reach_N, jnp.abs(right_N)),
      axes,
    )

  return look


def _lengths(x: jax.Array) -> jax.Array:
  return jnp.sqrt(jnp.sum(x.astype(jnp.float32) ** 2, axis=-1))


def _slices(tile_questions: int, *arrays_BT: jax.Array) -> Any:
  """Each [B, T, ...] as tiles [L, B · t, ...], zeros after the end of T.

  Slices of T hold questions of every row, and are of one size: of up to half as
  many tiles again as needed, the number that leaves the fewest zeros.
  """
  B, T = arrays_BT[0].shape[:2]
  fewest = -(-T // max(1, min(T, tile_questions // B)))
  tiles = min(range(fewest, fewest * 3 // 2 + 1), key=lambda n: -T % n)
  t = -(-T // tiles)

  def slices(x_BT: jax.Array) -> jax.Array:
    rest = x_BT.shape[2:]
    padding = [(0, 0), (0, tiles * t - T)] + [(0, 0)] * len(rest)
    x_BLT = jnp.pad(x_BT, padding).reshape(B, tiles, t, *rest)
    return jnp.moveaxis(x_BLT, 1, 0).reshape(tiles, B * t, *rest)

  return jax.tree.map(slices, arrays_BT)


def _unsliced(x_LN: jax.Array, B: int, T: int) -> jax.Array:
  """The inverse of `_slices`."""
  tiles, N, *rest = x_LN.shape
  x_BLT = jnp.moveaxis(x_LN.reshape(tiles, B, N // B, *rest), 0, 1)
  return x_BLT.reshape(B, tiles * (N // B), *rest)[:, :T]
