"""The loss of two views against one question after another."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from tagrec_jax.objectives.contrast import Contrast

SEGMENTS = jnp.array([[1, 1, 2, 2, 3, 0], [1, 1, 1, 1, 1, 1]])
TARGETS = jnp.array([[4, 5, 5, 6, -1, -1], [1, 2, 3, 4, 5, 6]])


def random_views(seed=0):
  random = np.random.default_rng(seed)
  shape = (*SEGMENTS.shape, 3)
  return [jnp.asarray(random.normal(size=shape), jnp.float32) for _ in "ab"]


def oracle(first, second, temperature):
  first, second = (np.asarray(x, np.float64) for x in (first, second))
  first, second = (
    x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (first, second)
  )
  total, weight = 0.0, 0
  for b, t in np.ndindex(SEGMENTS.shape):
    if SEGMENTS[b, t] == 0 or TARGETS[b, t] < 0:
      continue
    for a, z in ((first, second), (second, first)):
      own = np.exp(a[b, t] @ z[b, t] / temperature)
      other = 0.0
      for u in range(SEGMENTS.shape[1]):
        alien = SEGMENTS[b, u] not in (0, SEGMENTS[b, t])
        if alien and TARGETS[b, u] >= 0 and TARGETS[b, u] != TARGETS[b, t]:
          other += np.exp(a[b, t] @ z[b, u] / temperature)
      total -= np.log(own / (own + other)) / 2
    weight += 1
  return total, weight


def test_it_equals_a_slow_loop():
  views = random_views()
  found = jax.jit(Contrast(0.3))(*views, SEGMENTS, TARGETS)
  total, weight = oracle(*views, 0.3)
  np.testing.assert_allclose(found.total, total, rtol=1e-5)
  assert found.weight == weight == 10


def test_a_person_alone_in_a_row_has_nobody_to_be_unlike():
  views = [x[1:] for x in random_views()]
  found = Contrast(0.1)(*views, SEGMENTS[1:], TARGETS[1:])
  np.testing.assert_allclose(found.total, 0, atol=1e-5)


def test_what_asks_nothing_has_no_gradient_and_nothing_is_not_finite():
  def loss(first, second):
    return Contrast(0.1)(first, second, SEGMENTS, TARGETS).total

  zero = jnp.zeros_like(random_views()[0])
  for views in (random_views(), [zero, zero]):
    for gradient in jax.grad(loss, argnums=(0, 1))(*views):
      assert np.isfinite(gradient).all()
      np.testing.assert_array_equal(gradient[0, 4:], 0)


def test_rows_in_any_number_of_parts_give_the_same_sum():
  views = random_views()
  whole = Contrast(0.2)(*views, SEGMENTS, TARGETS)
  parts = [
    Contrast(0.2)(
      *(x[i : i + 1] for x in views), SEGMENTS[i : i + 1], TARGETS[i : i + 1]
    )
    for i in range(2)
  ]
  np.testing.assert_allclose(
    whole.total, sum(part.total for part in parts), rtol=1e-6
  )
