"""Batches and the slow oracle all losses are held against."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import base
from tagrec_jax.core.settings import from_dict


def _batch(B, T, D, C, M=0, seed=0, scale=1.0, dtype=jnp.float32):
  """Queries, vectors, bias and targets [B, T] or, with M, labels [B, T, M].

  About a fifth of the questions have no target. Labels are distinct.
  """
  random = np.random.default_rng(seed)
  if M:
    orders = random.random((B, T, C)).argsort(axis=-1)[..., :M]
    targets = np.full((B, T, M), -1)
    targets[..., : orders.shape[-1]] = orders
    targets[random.random((B, T, M)) < 0.4] = -1
  else:
    targets = random.integers(0, C, (B, T))
  targets[random.random((B, T)) < 0.2] = -1
  return (
    jnp.asarray(scale * random.normal(size=(B, T, D)), dtype),
    jnp.asarray(random.normal(size=(C, D)), jnp.float32),
    jnp.asarray(random.normal(size=C), jnp.float32),
    jnp.asarray(targets, jnp.int32),
  )


def _oracle(row, queries, vectors, bias, targets):
  """Adds up row(scores, target) in float64, one question after another.

  Args:
    row: (scores [C], labels) → loss, and its gradient for the scores.

  Returns:
    total, weight, and the gradients for queries, vectors and bias.
  """
  queries, vectors, bias = (
    np.asarray(x, np.float64) for x in (queries, vectors, bias)
  )
  targets = np.asarray(targets).reshape(*queries.shape[:2], -1)
  total, weight = 0.0, 0
  grads = np.zeros_like(queries), np.zeros_like(vectors), np.zeros_like(bias)
  for b, t in np.ndindex(queries.shape[:2]):
    labels = targets[b, t][targets[b, t] >= 0]
    if not labels.size:
      continue
    value, slope = row(vectors @ queries[b, t] + bias, labels)
    total, weight = total + value, weight + 1
    grads[0][b, t] = slope @ vectors
    grads[1][:] += np.outer(slope, queries[b, t])
    grads[2][:] += slope
  return total, weight, grads


def _check(objective, row, batch, drawn=None, rtol=1e-5, atol=1e-5):
  """Loss, weight and gradients of an objective equal the oracle's."""

  def total(queries, vectors, bias):
    out = objective(queries, vectors, bias, batch[3], drawn)
    return 0.5 * out.total, out.weight  # gradients must follow the factor

  run = jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True)
  (value, weight), grads = jax.jit(run)(*batch[:3])
  wanted, wanted_weight, wanted_grads = _oracle(row, *batch)
  assert weight == wanted_weight
  # What is subtracted is as large as the scores: so is the rounding.
  largest = np.abs(np.einsum("btd,cd->btc", *batch[:2])).max(axis=-1).sum()
  close = {"rtol": rtol, "atol": atol * max(1.0, largest)}
  np.testing.assert_allclose(2 * value, wanted, **close)
  scale = max(np.abs(np.asarray(x, np.float64)).max() for x in batch[:3])
  for grad, expected in zip(grads, wanted_grads, strict=True):
    np.testing.assert_allclose(
      2 * np.asarray(grad, np.float64), expected, rtol=rtol, atol=atol * scale
    )


@pytest.fixture(scope="session")
def make_batch():
  return _batch


@pytest.fixture(scope="session")
def check_against_oracle():
  return _check


@pytest.fixture
def objective_settings():
  return dataclasses.replace(
    from_dict(base.get_config().to_dict()).objective,
    tags="asymmetric",
    asymmetric_gamma=3.0,
    asymmetric_margin=0.1,
    propensity_weight=0.5,
  )
