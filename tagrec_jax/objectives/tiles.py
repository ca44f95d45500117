"""Sums over a whole catalogue without the array [B, T, C] of all scores.

Losses over a catalogue have the form Σ weight · (f(scores of a question) -
score of the target). The second part touches one vector for each question and
is left to automatic differentiation. The first part, `catalogue_total`, is
computed tile by tile with its own gradient:

- *question tiles*: a few questions against the whole catalogue. The tile gives
  its share of the value and, while it is still in the cache, its share of all
  gradients, for a cotangent of 1; the backward pass only scales them. Three
  matrix products in all.
- *catalogue tiles*: all questions against a part of the catalogue, for
  catalogues so large that a tile of questions would hold too few of them. The
  backward pass computes each tile again: four matrix products.

On a CPU the two are bound by passes over memory as much as by arithmetic, so
the normalisation by the sum and the weights are applied to the small operands
of the products, never to a tile.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

TILE_BYTES = 8 * 2**20
"""Of a float32 tile of scores: measured best on a CPU with 32 MB of L3."""
MIN_QUESTIONS = 64
"""Below so many questions a tile, adding up [C, D] gradients dominates."""

RowFunction = Callable[[jax.Array], tuple[jax.Array, jax.Array, jax.Array]]


def log_sum_exp(scores_NC: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
  """(log Σ exp, p, 1/Σp): the gradient for the scores is p · (1/Σp)."""
  top_N = lax.stop_gradient(jnp.max(scores_NC, axis=1))
  p_NC = jnp.exp(scores_NC - top_N[:, None])
  sum_N = jnp.sum(p_NC, axis=1)
  return top_N + jnp.log(sum_N), p_NC, 1.0 / sum_N


def softplus_sum(
  scores_NC: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """(Σ log(1 + exp), p, 1) with p = sigmoid, the gradient for the scores."""
  value_N = jnp.sum(jax.nn.softplus(scores_NC), axis=1)
  return value_N, jax.nn.sigmoid(scores_NC), jnp.ones_like(value_N)


def catalogue_total(
  row: RowFunction,
  queries_BTD: Float[Array, "B T D"],
  vectors_CD: Float[Array, "C D"],
  bias_C: Float[Array, " C"],
  weights_BT: Float[Array, "B T"],
  tile_bytes: int = TILE_BYTES,
) -> Float[Array, ""]:
  """Σ weight · row(query · vectors + bias), differentiable in the first three.

  Products are computed in the dtype of the queries and added up in float32;
  everything else is float32.

  Args:
    row: `log_sum_exp` or `softplus_sum`.
    tile_bytes: of a float32 tile of scores; decides which tiling is used.
  """
  B, T, _ = queries_BTD.shape
  C = vectors_CD.shape[0]
  questions = tile_bytes // (4 * C)
  if questions >= min(B * T, max(B, MIN_QUESTIONS)) or row is not log_sum_exp:
    tiles = -(-T // max(1, min(T, questions // B)))
    return _question_tiles(
      row, tiles, queries_BTD, vectors_CD, bias_C, weights_BT
    )
  part = max(1, min(C, tile_bytes // (4 * B * T)))
  return _catalogue_tiles(part, queries_BTD, vectors_CD, bias_C, weights_BT)


def _dot(formula: str, *operands: jax.Array) -> jax.Array:
  return jnp.einsum(formula, *operands, preferred_element_type=jnp.float32)


def _slices(x_BT: jax.Array, tiles: int) -> jax.Array:
  """[B, T, ...] → [tiles, B · t, ...], zeros after the end.

  Slices of T, because B is what devices share: every tile has all of B.
  """
  B, T, *rest = x_BT.shape
  t = -(-T // tiles)
  padding = [(0, 0), (0, tiles * t - T)] + [(0, 0)] * len(rest)
  x_BLT = jnp.pad(x_BT, padding).reshape(B, tiles, t, *rest)
  return jnp.moveaxis(x_BLT, 1, 0).reshape(tiles, B * t, *rest)


def _unsliced(x_LN: jax.Array, B: int, T: int) -> jax.Array:
  """The inverse of `_slices`."""
  tiles, N, *rest = x_LN.shape
  x_BLT = jnp.moveaxis(x_LN.reshape(tiles, B, N // B, *rest), 0, 1)
  return x_BLT.reshape(B, tiles * (N // B), *rest)[:, :T]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _question_tiles(
  row, tiles, queries_BTD, vectors_CD, bias_C, weights_BT
) -> jax.Array:
  vectors_CD = vectors_CD.astype(queries_BTD.dtype)

  def tile(total, inputs):
    queries_ND, weights_N = inputs
    scores_NC = _dot("ND,CD->NC", queries_ND, vectors_CD) + bias_C[None]
    return total + jnp.sum(row(scores_NC)[0] * weights_N), None

  slices = _slices(queries_BTD, tiles), _slices(weights_BT, tiles)
  return lax.scan(tile, jnp.zeros(()), slices)[0]


def _question_tiles_forward(
  row, tiles, queries_BTD, vectors_CD, bias_C, weights_BT
):
  B, T, D = queries_BTD.shape
  C, dtype = vectors_CD.shape[0], queries_BTD.dtype
  cast_CD = vectors_CD.astype(dtype)

  def tile(sums, inputs):
    total, table_DC = sums
    queries_ND, weights_N = inputs
    scores_NC = _dot("ND,CD->NC", queries_ND, cast_CD) + bias_C[None]
    value_N, p_NC, scale_N = row(scores_NC)
    p_NC = p_NC.astype(dtype)
    slope_N = weights_N * scale_N
    grad_ND = _dot("NC,CD->ND", p_NC, cast_CD) * slope_N[:, None]
    # A column of ones gives the bias its gradient in the same product. The
    # barrier keeps XLA from folding the transposition into the product, a form
    # for which its CPU backend has no fast kernel (in bfloat16 none at all).
    scaled_DN = jnp.concatenate([queries_ND.T, jnp.ones((1, value_N.size))])
    scaled_DN = lax.optimization_barrier(
      (scaled_DN * slope_N[None]).astype(dtype)
    )
    table_DC += _dot("DN,NC->DC", scaled_DN, p_NC)
    return (total + jnp.sum(value_N * weights_N), table_DC), grad_ND

  slices = _slices(queries_BTD, tiles), _slices(weights_BT, tiles)
  start = jnp.zeros(()), jnp.zeros((D + 1, C))
  (total, table_DC), grads_LND = lax.scan(tile, start, slices)
  grads = (
    _unsliced(grads_LND, B, T).astype(dtype),
    table_DC[:D].T.astype(vectors_CD.dtype),
    table_DC[D].astype(bias_C.dtype),
  )
  return total, grads


def _question_tiles_backward(row, tiles, grads, cotangent):
  del row, tiles
  return *((grad * cotangent).astype(grad.dtype) for grad in grads), None


_question_tiles.defvjp(_question_tiles_forward, _question_tiles_backward)


def _part(start, part, vectors_CD, bias_C):
  """Rows start .. start + part, moved back to fit before the end of C.

  Returns:
    The first row really taken, the rows, and their bias: -inf for rows that
    an earlier part has already counted.
  """
  first = jnp.minimum(start, vectors_CD.shape[0] - part)
  rows = lax.dynamic_slice_in_dim(vectors_CD, first, part)
  bias = lax.dynamic_slice_in_dim(bias_C, first, part)
  counted = first + jnp.arange(part) < start
  return first, rows, jnp.where(counted, -jnp.inf, bias)


def _normalisers(part, queries_ND, vectors_CD, bias_C) -> jax.Array:
  """log Σ exp of each question, adding part after part of the catalogue."""
  N, C = queries_ND.shape[0], vectors_CD.shape[0]

  def add(state, start):
    top_N, sum_N = state
    _, rows_CD, part_bias_C = _part(start, part, vectors_CD, bias_C)
    rows_CD = rows_CD.astype(queries_ND.dtype)
    scores_NC = _dot("ND,CD->NC", queries_ND, rows_CD) + part_bias_C[None]
    new_N = jnp.maximum(top_N, jnp.max(scores_NC, axis=1))
    sum_N *= jnp.exp(top_N - new_N)
    sum_N += jnp.sum(jnp.exp(scores_NC - new_N[:, None]), axis=1)
    return (new_N, sum_N), None

  lowest = jnp.full((N,), jnp.finfo(jnp.float32).min)
  start = lowest, jnp.zeros((N,))
  (top_N, sum_N), _ = lax.scan(add, start, jnp.arange(0, C, part))
  return top_N + jnp.log(sum_N)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _catalogue_tiles(
  part, queries_BTD, vectors_CD, bias_C, weights_BT
) -> jax.Array:
  inputs = part, queries_BTD, vectors_CD, bias_C, weights_BT
  return _catalogue_tiles_forward(*inputs)[0]


def _catalogue_tiles_forward(part, queries_BTD, vectors_CD, bias_C, weights_BT):
  queries_ND = queries_BTD.reshape(-1, queries_BTD.shape[-1])
  log_sum_N = _normalisers(part, queries_ND, vectors_CD, bias_C)
  total = jnp.sum(log_sum_N * weights_BT.reshape(-1))
  return total, (queries_BTD, vectors_CD, bias_C, weights_BT, log_sum_N)


def _catalogue_tiles_backward(part, saved, cotangent):
  queries_BTD, vectors_CD, bias_C, weights_BT, log_sum_N = saved
  D, dtype = queries_BTD.shape[-1], queries_BTD.dtype
  queries_ND = queries_BTD.reshape(-1, D)
  slope_N = cotangent * weights_BT.reshape(-1)
  scaled_DN = jnp.concatenate([queries_ND.T, jnp.ones((1, slope_N.size))])
  scaled_DN = lax.optimization_barrier(
    (scaled_DN * slope_N[None]).astype(dtype)
  )

  def add(sums, start):
    grad_ND, table_DC = sums
    first, rows_CD, part_bias_C = _part(start, part, vectors_CD, bias_C)
    rows_CD = rows_CD.astype(dtype)
    scores_NC = _dot("ND,CD->NC", queries_ND, rows_CD) + part_bias_C[None]
    p_NC = jnp.exp(scores_NC - log_sum_N[:, None]).astype(dtype)
    grad_ND += _dot("NC,CD->ND", p_NC, rows_CD)
    old_DC = lax.dynamic_slice_in_dim(table_DC, first, part, axis=1)
    table_DC = lax.dynamic_update_slice_in_dim(
      table_DC, old_DC + _dot("DN,NC->DC", scaled_DN, p_NC), first, axis=1
    )
    return (grad_ND, table_DC), None

  C = vectors_CD.shape[0]
  start = jnp.zeros(queries_ND.shape), jnp.zeros((D + 1, C))
  (grad_ND, table_DC), _ = lax.scan(add, start, jnp.arange(0, C, part))
  return (
    (grad_ND * slope_N[:, None]).reshape(queries_BTD.shape).astype(dtype),
    table_DC[:D].T.astype(vectors_CD.dtype),
    table_DC[D].astype(bias_C.dtype),
    None,
  )


_catalogue_tiles.defvjp(_catalogue_tiles_forward, _catalogue_tiles_backward)
