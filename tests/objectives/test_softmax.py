"""Softmax against a float64 oracle; its memory; the same on many devices."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tagrec_jax.objectives.softmax import Softmax


def inputs(B, T, D, C, seed=0, dtype=jnp.float32):
  """Random queries, vectors, bias and targets, about a fifth of them absent."""
  random = np.random.default_rng(seed)
  targets = random.integers(0, C, (B, T))
  targets[random.random((B, T)) < 0.2] = -1
  return (
    jnp.asarray(random.normal(size=(B, T, D)), dtype),
    jnp.asarray(random.normal(size=(C, D)), jnp.float32),
    jnp.asarray(random.normal(size=C), jnp.float32),
    jnp.asarray(targets, jnp.int32),
  )


def oracle(queries, vectors, bias, targets, smoothing):
  """Loss and gradients in float64, one question after another."""
  queries, vectors, bias = (
    np.asarray(x, np.float64) for x in (queries, vectors, bias)
  )
  C = len(vectors)
  total = 0.0
  grads = np.zeros_like(queries), np.zeros_like(vectors), np.zeros_like(bias)
  for b, t in np.argwhere(np.asarray(targets) >= 0):
    scores = vectors @ queries[b, t] + bias
    log_p = scores - scores.max()
    log_p -= np.log(np.exp(log_p).sum())
    wanted = np.full(C, smoothing / C)
    wanted[targets[b, t]] += 1 - smoothing
    total -= wanted @ log_p
    slope = np.exp(log_p) - wanted
    grads[0][b, t] = slope @ vectors
    grads[1][:] += np.outer(slope, queries[b, t])
    grads[2][:] += slope
  return total, grads


def loss_and_grads(objective, queries, vectors, bias, targets):
  def total(queries, vectors, bias):
    return objective(queries, vectors, bias, targets).total

  run = jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2)))
  return run(queries, vectors, bias)


@settings(max_examples=12)
@given(
  shape=st.tuples(*(st.integers(1, n) for n in (3, 7, 5, 40))),
  smoothing=st.sampled_from([0.0, 0.1]),
  tile_bytes=st.sampled_from([1, 200, 4000, 2**20]),
)
def test_equals_the_oracle(shape, smoothing, tile_bytes):
  batch = inputs(*shape)
  objective = Softmax(smoothing, tile_bytes)
  total, grads = loss_and_grads(objective, *batch)
  expected, expected_grads = oracle(*batch, smoothing)
  np.testing.assert_allclose(total, expected, rtol=1e-5, atol=1e-5)
  alone = jax.jit(objective)(*batch)
  np.testing.assert_allclose(alone.total, total, rtol=1e-5, atol=1e-5)
  assert alone.weight == np.sum(np.asarray(batch[3]) >= 0)
  for grad, wanted in zip(grads, expected_grads, strict=True):
    np.testing.assert_allclose(grad, wanted, rtol=1e-5, atol=1e-5)
