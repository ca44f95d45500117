"""Softmax against a float64 oracle, with both tilings; and its memory."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagrec_jax.objectives.softmax import Softmax


def softmax_row(smoothing):
  """-Σ wanted · log p, and p - wanted."""

  def row(scores, labels):
    log_p = scores - scores.max()
    log_p -= np.log(np.exp(log_p).sum())
    wanted = np.full(scores.size, smoothing / scores.size)
    wanted[labels] += (1 - smoothing) / labels.size
    return -wanted @ log_p, np.exp(log_p) - wanted

  return row


# Tiles of one question; of one entry; of 12 questions or of a few entries; all.
TILES = [200, 1, 2000, 2**20]


@pytest.mark.parametrize("tile_bytes", TILES)
@settings(max_examples=3)
@given(
  shape=st.tuples(*(st.integers(1, n) for n in (3, 7, 5, 40))),
  smoothing=st.sampled_from([0.0, 0.1]),
)
def test_equals_the_oracle(
  tile_bytes, shape, smoothing, make_batch, check_against_oracle
):
  batch = make_batch(*shape)
  check_against_oracle(
    Softmax(smoothing, tile_bytes), softmax_row(smoothing), batch
  )


@pytest.mark.parametrize("tile_bytes", TILES)
def test_scores_may_be_too_large_for_exp(
  tile_bytes, make_batch, check_against_oracle
):
  """Scores of hundreds: float32 then knows a probability to four digits."""
  batch = make_batch(2, 13, 8, 37, scale=200.0)
  row = softmax_row(0.1)
  check_against_oracle(Softmax(0.1, tile_bytes), row, batch, rtol=1e-3)


@pytest.mark.parametrize("tile_bytes", TILES)
def test_products_in_bfloat16_come_close(
  tile_bytes, make_batch, check_against_oracle
):
  batch = make_batch(2, 13, 8, 37, dtype=jnp.bfloat16)
  check_against_oracle(
    Softmax(tile_bytes=tile_bytes),
    softmax_row(0.0),
    batch,
    rtol=0.03,
    atol=0.03,
  )


@pytest.mark.parametrize("tile_bytes", TILES)
def test_nothing_to_answer_costs_nothing(tile_bytes, make_batch):
  queries, vectors, bias, targets = make_batch(2, 5, 4, 11)
  objective = Softmax(0.1, tile_bytes)

  def total(*inputs):
    loss = objective(*inputs, jnp.full_like(targets, -1))
    return loss.total, loss.weight

  run = jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True)
  (loss, weight), grads = jax.jit(run)(queries, vectors, bias)
  assert (loss, weight) == (0, 0)
  for grad in grads:
    np.testing.assert_array_equal(grad, 0.0)


def test_padding_changes_nothing(make_batch):
  queries, vectors, bias, targets = make_batch(2, 6, 4, 11)
  objective = Softmax(tile_bytes=200)
  wide = jnp.pad(queries, ((0, 1), (0, 3), (0, 0)), constant_values=9.0)
  empty = jnp.pad(targets, ((0, 1), (0, 3)), constant_values=-2)

  @jax.jit
  def run(queries, targets):
    return jax.value_and_grad(
      lambda q, v, b: objective(q, v, b, targets).total, argnums=(0, 1, 2)
    )(queries, vectors, bias)

  loss, grads = run(queries, targets)
  padded_loss, padded_grads = run(wide, empty)
  np.testing.assert_allclose(padded_loss, loss, rtol=1e-6)
  np.testing.assert_allclose(padded_grads[0][:2, :6], grads[0], atol=1e-6)
  assert not np.any(padded_grads[0][2:])
  assert not np.any(padded_grads[0][:, 6:])
  for padded, grad in zip(padded_grads[1:], grads[1:], strict=True):
    np.testing.assert_allclose(padded, grad, atol=1e-6)


def temporary_bytes(B, T, D, C, tile_bytes, dtype=jnp.float32):
  def total(queries, vectors, bias, targets):
    return Softmax(tile_bytes=tile_bytes)(queries, vectors, bias, targets).total

  compiled = (
    jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2)))
    .lower(
      jax.ShapeDtypeStruct((B, T, D), dtype),
      jax.ShapeDtypeStruct((C, D), jnp.float32),
      jax.ShapeDtypeStruct((C,), jnp.float32),
      jax.ShapeDtypeStruct((B, T), jnp.int32),
    )
    .compile()
  )
  return compiled.memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("catalogue", [3_000, 100_000])
def test_memory_does_not_grow_with_questions_times_catalogue(catalogue, dtype):
  """Beyond some tiles: a few arrays like the inputs, never [B, T, C]."""
  B, D, tile_bytes = 4, 16, 2**20
  for T in (64, 256):
    used = temporary_bytes(B, T, D, catalogue, tile_bytes, dtype)
    inputs = 4 * (B * T * (D + 2) + catalogue * (D + 1))
    assert used < 4 * inputs + 4 * tile_bytes
    assert catalogue == 3_000 or used < 4 * B * T * catalogue / 4
