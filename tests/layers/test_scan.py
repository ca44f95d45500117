"""A linear recurrence at once equals one step after another."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tagrec_jax.layers.scan import linear_scan


@pytest.mark.parametrize("length", [1, 2, 7, 64, 100])
def test_it_equals_a_slow_loop(length):
  random = np.random.default_rng(length)
  keep = random.random((3, length, 4)).astype(np.float32)
  keep[:, ::5] = 0  # somebody else begins
  add = random.normal(size=keep.shape).astype(np.float32)
  h = np.zeros((3, 4))
  wanted = []
  for t in range(length):
    h = keep[:, t] * h + add[:, t]
    wanted.append(h)
  got = jax.jit(linear_scan)(jnp.asarray(keep), jnp.asarray(add))
  np.testing.assert_allclose(got, np.stack(wanted, 1), rtol=1e-5, atol=1e-6)


def test_no_value_passes_a_place_that_keeps_nothing():
  keep = jnp.ones((1, 6, 2)).at[:, 3].set(0)
  add = jnp.ones((1, 6, 2))

  def later(add):
    return linear_scan(keep, add)[:, 3:].sum()

  gradient = jax.grad(later)(add)
  np.testing.assert_array_equal(gradient[0, :3], 0)
  np.testing.assert_array_equal(gradient[0, 3:, 0], [3, 2, 1])
