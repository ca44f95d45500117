"""Some questions against the whole catalogue, gradients in the same pass.

A tile gives its share of the value and, while its scores are still in the
cache, its share of all gradients for a cotangent of 1; the backward pass only
scales them. Three matrix products in all. A CPU is bound by passes over memory
as much as by arithmetic, so factors are applied to the small operands of the
products, never to a tile.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from tagrec_jax.objectives.rows import SMALL, Row
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
  weights_BT: jax.Array,
) -> jax.Array:
  """Σ weight · row(scores), without gradients where none are asked for.

  Args:
    tile_questions: how many questions of one device make a tile, about.
  """

  def local(queries_BTD, vectors_CD, bias_C, weights_BT):
    cast_CD = vectors_CD.astype(queries_BTD.dtype)
    small = _small(split, queries_BTD, cast_CD, bias_C)

    def tile(total, inputs):
      queries_ND, weights_N = inputs
      products_NC = dot("ND,CD->NC", queries_ND, cast_CD)
      value_N, _, _ = row(products_NC, bias_C, small, split.catalogue)
      return total + jnp.sum(value_N * weights_N), None

    slices = _slices(tile_questions, queries_BTD, weights_BT)
    total, _ = lax.scan(tile, jnp.zeros(()), slices)
    return (split.sum_over_batch(total),)

  run = split.run(local, "BCCB", "-")
  return run(queries_BTD, vectors_CD, bias_C, weights_BT)[0]


def _forward(
  row: Row,
  tile_questions: int,
  split: Split,
  queries_BTD: jax.Array,
  vectors_CD: jax.Array,
  bias_C: jax.Array,
  weights_BT: jax.Array,
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
  def local(queries_BTD, vectors_CD, bias_C, weights_BT):
    B, T, D = queries_BTD.shape
    dtype = queries_BTD.dtype
    cast_CD = vectors_CD.astype(dtype)
    small = _small(split, queries_BTD, cast_CD, bias_C)

    def tile(sums, inputs):
      total, table_DC = sums
      queries_ND, weights_N = inputs
      products_NC = dot("ND,CD->NC", queries_ND, cast_CD)
      value_N, slopes_NC, factor_N = row(
        products_NC, bias_C, small, split.catalogue
      )
      total += jnp.sum(value_N * weights_N)
      slopes_NC, factor_N = slopes_NC.astype(dtype), factor_N * weights_N
      grads_ND = dot("NC,CD->ND", slopes_NC, cast_CD) * factor_N[:, None]
      table_DC += dot("DN,NC->DC", scaled(queries_ND, factor_N), slopes_NC)
      return (total, table_DC), grads_ND

    slices = _slices(tile_questions, queries_BTD, weights_BT)
    start = jnp.zeros(()), jnp.zeros((D + 1, cast_CD.shape[0]))
    (total, table_DC), grads_LND = lax.scan(tile, start, slices)
    total, table_DC = split.sum_over_batch((total, table_DC))
    grads_BTD = split.sum_over_catalogue(_unsliced(grads_LND, B, T))
    return (
      total,
      grads_BTD.astype(dtype),
      table_DC[:D].T.astype(vectors_CD.dtype),
      table_DC[D].astype(bias_C.dtype),
    )

  run = split.run(local, "BCCB", "-BCC")
  total, *grads = run(queries_BTD, vectors_CD, bias_C, weights_BT)
  return total, tuple(grads)


def _backward(
  row: Row,
  tile_questions: int,
  split: Split,
  grads: tuple[jax.Array, ...],
  cotangent: jax.Array,
) -> tuple[jax.Array | None, ...]:
  del row, tile_questions, split
  return *((grad * cotangent).astype(grad.dtype) for grad in grads), None


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


def _small(
  split: Split, queries_BTD: jax.Array, vectors_CD: jax.Array, bias_C: jax.Array
) -> jax.Array:
  """Whether no |score| is above SMALL, from lengths (Cauchy-Schwarz)."""

  def longest(x: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.max(jnp.sum(x.astype(jnp.float32) ** 2, axis=-1)))

  bound = longest(queries_BTD) * longest(vectors_CD) + jnp.max(jnp.abs(bias_C))
  axes = split.catalogue
  return (lax.pmax(bound, axes) if axes else bound) <= SMALL


def _slices(tile_questions: int, *arrays_BT: jax.Array) -> Any:
  """Each [B, T, ...] as tiles [L, B · t, ...], zeros after the end of T.

  Slices of T hold questions of every row, and are of one size.
  """
  B, T = arrays_BT[0].shape[:2]
  tiles = -(-T // max(1, min(T, tile_questions // B)))
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
