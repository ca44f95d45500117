"""History encoders against slow loops."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tagrec_jax.models.encoder.long_short import LongShortHistory
from tagrec_jax.models.encoder.recurrence import GatedRecurrence, LinearHistory
from tests.models.encoder.made import axes_fit, model_settings, rngs

SEGMENTS = jnp.array([[1, 1, 1, 1, 2, 2, 0, 0]])
POSITIONS = jnp.array([[0, 1, 2, 3, 0, 1, 0, 0]])


def random_events(width: int = 16) -> jax.Array:
  return jax.random.normal(jax.random.key(1), (1, 8, width))


def test_the_recurrence_equals_a_slow_loop():
  layer = GatedRecurrence(16, rngs(), dtype=jnp.float32)
  x = random_events()
  got = layer(x, POSITIONS)
  values, shown = np.split(np.asarray(layer.inputs(x), np.float64), 2, -1)
  gates = 1 / (1 + np.exp(-np.asarray(layer.gates(x), np.float64)))
  r, i = np.split(gates, 2, -1)
  rate = 8 * np.log1p(np.exp(np.asarray(layer.forget[...], np.float64)))
  h, states = np.zeros(16), []
  for t in range(8):
    a = np.exp(-rate * r[0, t])
    h = h * (POSITIONS[0, t] > 0)
    h = a * h + np.sqrt(1 - a**2) * i[0, t] * values[0, t]
    states.append(h)
  shown = np.asarray(jax.nn.gelu(shown.astype(np.float32)))
  wanted = layer.out(jnp.asarray(np.stack(states)[None] * shown, jnp.float32))
  np.testing.assert_allclose(got, wanted, rtol=2e-4, atol=1e-5)


def test_gates_that_are_shut_fast_leave_gradients_finite():
  layer = GatedRecurrence(16, rngs(), dtype=jnp.float32)
  layer.gates.bias[...] = jnp.full(32, -200.0)
  graph, params = nnx.split(layer)

  def loss(params, x):
    return nnx.merge(graph, params)(x, POSITIONS).sum()

  gradients = jax.jit(jax.grad(loss, (0, 1)))(params, random_events())
  for leaf in jax.tree.leaves(gradients):
    assert np.isfinite(leaf).all()


def test_half_of_the_fastest_state_is_forgotten_after_one_event():
  layer = GatedRecurrence(16, rngs(), dtype=jnp.float32)
  rate_D = 8 * jax.nn.softplus(layer.forget[...])
  kept_D = np.exp(-np.asarray(rate_D) / 2)
  np.testing.assert_allclose(kept_D[0], 0.5, rtol=1e-4)
  np.testing.assert_allclose(kept_D[-1] ** 64, 0.5, rtol=1e-3)


@pytest.mark.parametrize("encoder", [LinearHistory, LongShortHistory])
def test_every_axis_has_a_name(encoder):
  assert axes_fit(encoder(model_settings(), 8, rngs()))


def test_the_long_interest_does_not_care_for_order_and_the_short_does():
  """Events that left the window count in the mean alone."""
  settings = model_settings(recent_events=1, positions="none", dropout=0.0)
  model = LongShortHistory(settings, 8, rngs())
  x = random_events()
  swapped = x[:, jnp.array([1, 0, 2, 3, 4, 5, 6, 7])]

  @nnx.jit
  def ask(model, x):
    return model(x, SEGMENTS, POSITIONS, None)[0, 3]

  np.testing.assert_allclose(ask(model, x), ask(model, swapped), atol=1e-5)
  newest = x[:, jnp.array([0, 1, 3, 2, 4, 5, 6, 7])]
  assert np.abs(ask(model, x) - ask(model, newest)).max() > 1e-3


@pytest.mark.parametrize("recent", [1, 2])
def test_the_window_of_the_short_interest(recent):
  """With a gate shut to the long interest, older events have no influence."""
  settings = model_settings(recent_events=recent, dropout=0.0)
  model = LongShortHistory(settings, 8, rngs())
  model.gate.bias[...] = jnp.full(16, -1e4)

  def newest(x):
    return model(x, SEGMENTS, POSITIONS, None)[0, 3].sum() ** 2

  gradient = np.abs(jax.grad(newest)(random_events()))[0].sum(-1)
  assert (gradient[: 4 - recent] == 0).all()
  assert (gradient[4 - recent : 4] > 0).all()
  assert (gradient[4:] == 0).all()
