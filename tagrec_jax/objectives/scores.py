"""Scores of a few catalogue entries for each question."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from tagrec_jax.layers.param import CATALOGUE, Axes
from tagrec_jax.layers.placing import current, summed
from tagrec_jax.objectives.split import Split


def dot(formula: str, *operands: jax.Array) -> jax.Array:
  """A product in the dtype of the operands, added up in float32."""
  return jnp.einsum(formula, *operands, preferred_element_type=jnp.float32)


def target_scores(
  queries_BTD: Float[Array, "B T D"],
  vectors_CD: Float[Array, "C D"],
  bias_C: Float[Array, " C"],
  targets_BT: Int[Array, "B T"],
  axes: Axes = CATALOGUE,
) -> Float[Array, "B T"]:
  """The score of the target; 0 where there is none."""
  return label_scores(
    queries_BTD,
    vectors_CD,
    bias_C,
    targets_BT[..., None],
    (targets_BT[..., None] >= 0).astype(jnp.float32),
    axes,
  )


def label_scores(
  queries_BTD: Float[Array, "B T D"],
  vectors_CD: Float[Array, "C D"],
  bias_C: Float[Array, " C"],
  targets_BTM: Int[Array, "B T M"],
  share_BTM: Float[Array, "B T M"],
  axes: Axes = CATALOGUE,
) -> Float[Array, "B T"]:
  """Σ share · score of a question's labels; not differentiable for shares.

  Scores are linear in the vectors, so the labels' vectors are added first.

  Args:
    share_BTM: 0 where the id is negative.
    axes: of the vectors, where devices may share them.
  """
  labels, dtype = (targets_BTM, share_BTM), queries_BTD.dtype
  if current().splits_tables:
    sum_BTD = summed(vectors_CD, axes, *labels, dtype=dtype)
    bias_BT = summed(bias_C[:, None], (axes[0], None), *labels)[..., 0]
  else:
    whole = dataclasses.replace(Split.of(queries_BTD, vectors_CD), catalogue=())
    sum_BTD, bias_BT = _label_sums(whole, dtype, vectors_CD, bias_C, *labels)
  return jnp.sum(queries_BTD.astype(jnp.float32) * sum_BTD, axis=-1) + bias_BT


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _label_sums(
  split: Split,
  dtype: Any,
  vectors_CD: jax.Array,
  bias_C: jax.Array,
  targets_BTM: jax.Array,
  share_BTM: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """Σ share · (vector, bias) over labels, one label of all questions at a time.

  An array [B, T, M, D] is never made, and devices add up the gradient of the
  table once, not for each label.

  Args:
    dtype: that vectors are rounded to, as for all other scores.
  """
  del split
  B, T, _ = targets_BTM.shape

  def add(sums, label):
    rows_BT, share_BT = label
    rows_BTD = vectors_CD[rows_BT].astype(dtype).astype(jnp.float32)
    sum_BTD = sums[0] + rows_BTD * share_BT[..., None]
    return (sum_BTD, sums[1] + bias_C[rows_BT] * share_BT), None

  start = jnp.zeros((B, T, vectors_CD.shape[1])), jnp.zeros((B, T))
  return lax.scan(add, start, _labels(targets_BTM, share_BTM))[0]


def _forward(
  split: Split,
  dtype: Any,
  vectors_CD: jax.Array,
  bias_C: jax.Array,
  targets_BTM: jax.Array,
  share_BTM: jax.Array,
) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, ...]]:
  sums = _label_sums(split, dtype, vectors_CD, bias_C, targets_BTM, share_BTM)
  return sums, (vectors_CD, bias_C, targets_BTM, share_BTM)


def _backward(
  split: Split,
  dtype: Any,
  saved: tuple[jax.Array, ...],
  cotangents: tuple[jax.Array, jax.Array],
) -> tuple[jax.Array, jax.Array, None, None]:
  del dtype
  vectors_CD, bias_C, targets_BTM, share_BTM = saved

  def local(grad_BTD, grad_BT, targets_BTM, share_BTM):
    def add(tables, label):
      table_CD, table_C = tables
      rows_BT, share_BT = label
      share_BTD = grad_BTD * share_BT[..., None]
      table_C = table_C.at[rows_BT].add(grad_BT * share_BT)
      return (table_CD.at[rows_BT].add(share_BTD), table_C), None

    start = jnp.zeros(vectors_CD.shape), jnp.zeros(bias_C.shape)
    tables, _ = lax.scan(add, start, _labels(targets_BTM, share_BTM))
    return split.sum_over_batch(tables)

  run = split.run(local, "BBBB", "--")
  grads = run(*cotangents, targets_BTM, share_BTM)
  return (
    grads[0].astype(vectors_CD.dtype),
    grads[1].astype(bias_C.dtype),
    None,
    None,
  )


_label_sums.defvjp(_forward, _backward)


def _labels(
  targets_BTM: jax.Array, share_BTM: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Rows that can be looked up and their shares, label after label."""
  rows_BTM = jnp.maximum(targets_BTM, 0)
  return jnp.moveaxis(rows_BTM, 2, 0), jnp.moveaxis(share_BTM, 2, 0)
