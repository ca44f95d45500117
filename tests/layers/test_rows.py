"""Weighted sums of rows, against what they replace."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tagrec_jax.layers.rows import weighted_rows

IDS = jnp.array([[0, 3, 3, -1], [-1, 2, -1, 0], [-1, -1, -1, -1]])


def plain(table, ids, weights):
  known = jnp.where(ids >= 0, weights, 0.0)
  return jnp.einsum("NW,NWD->ND", known, table[jnp.maximum(ids, 0)])


@pytest.fixture
def arrays():
  random = np.random.default_rng(0)
  draw = lambda *shape: jnp.asarray(random.normal(size=shape), jnp.float32)
  return draw(5, 6), draw(3, 4), draw(3, 6)


def test_sums_are_those_of_gathered_rows(arrays):
  table, weights, _ = arrays
  sums = jax.jit(weighted_rows)(table, IDS, weights)
  np.testing.assert_allclose(sums, plain(table, IDS, weights), atol=1e-6)
  np.testing.assert_array_equal(sums[2], 0)


def test_gradients_are_those_of_gathered_rows(arrays):
  table, weights, pull = arrays

  def gradient(sums):
    loss = lambda t, w: (sums(t, IDS, w) * pull).sum()
    return jax.jit(jax.grad(loss, (0, 1)))(table, weights)

  for ours, wanted in zip(
    gradient(weighted_rows), gradient(plain), strict=True
  ):
    np.testing.assert_allclose(ours, wanted, atol=1e-6)


def test_other_platforms_gather_at_once(arrays):
  """What is compiled for them holds no loop."""
  table, weights, _ = arrays
  step = jax.jit(jax.value_and_grad(lambda *a: weighted_rows(*a).sum()))
  traced = step.trace(table, IDS, weights)
  loops = {
    platform: "while" in traced.lower(lowering_platforms=(platform,)).as_text()
    for platform in ("cpu", "tpu", "cuda")
  }
  assert loops == {"cpu": True, "tpu": False, "cuda": False}
