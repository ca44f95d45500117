from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.training import optimizer as optimizers
from tagrec_jax.training.optimizer import make_optimizer, make_schedule


def settings(tiny, **changes):
  plain = {
    "warmup_steps": 0,
    "schedule": "constant",
    "weight_decay": 0.0,
    "clip_norm": 0.0,
  }
  return dataclasses.replace(tiny.optimizer, **plain | changes)


def first_update(rule, chosen, gradient, params, axes=None):
  transform = make_optimizer(rule, chosen, 10, axes or {}).transform
  updates, _ = transform.update(gradient, transform.init(params), params)
  return updates


@pytest.mark.parametrize(
  ("schedule", "wanted"),
  [
    ("constant", [2, 4, 6, 8, 8, 8, 8, 8]),
    ("linear", [2, 4, 6, 8, 6, 4, 2, 0]),
    ("cosine", [2, 4, 6, 8, 8 * 0.8535534, 4, 8 * 0.1464466, 0]),
  ],
)
def test_schedules(tiny, schedule, wanted):
  """Worked by hand: warm-up of 3, then 4 steps."""
  chosen = settings(tiny, schedule=schedule, warmup_steps=3, learning_rate=8.0)
  found = [make_schedule(chosen, 7)(step) for step in range(8)]
  np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


def test_a_schedule_that_is_all_warm_up(tiny):
  chosen = settings(tiny, schedule="cosine", warmup_steps=3, learning_rate=8.0)
  assert np.isfinite(
    [make_schedule(chosen, 3)(step) for step in range(4)]
  ).all()


@pytest.mark.parametrize(
  ("name", "wanted"),
  [
    # The first step of each rule, gradient 2, learning rate .01.
    ("adam", -0.01),
    ("adamw", -0.01),
    ("lion", -0.01),
    ("sgd", -0.02),
    ("adagrad", -0.01 * 2 / (4 + 0.1) ** 0.5),
    ("adafactor", -0.01),
  ],
)
def test_first_update_of_each_rule(tiny, name, wanted):
  params, gradient = {"w": jnp.ones(3)}, {"w": jnp.full(3, 2.0)}
  updates = first_update(
    getattr(optimizers, name), settings(tiny, name=name), gradient, params
  )
  np.testing.assert_allclose(updates["w"], np.full(3, wanted), rtol=1e-4)


def test_decay_spares_biases_and_norms(tiny):
  params = {
    "kernel": jnp.ones((2, 2)),
    "bias": jnp.ones(2),
    "biases": jnp.ones((3, 2)),
  }
  axes = {
    "kernel": ("embed", "hidden"),
    "bias": ("hidden",),
    "biases": ("layers", "hidden"),
  }
  zero = jax.tree.map(jnp.zeros_like, params)
  updates = first_update(
    optimizers.adamw, settings(tiny, weight_decay=0.5), zero, params, axes
  )
  np.testing.assert_allclose(updates["kernel"], -0.01 * 0.5 * np.ones((2, 2)))
  np.testing.assert_array_equal(updates["bias"], np.zeros(2))
  np.testing.assert_array_equal(updates["biases"], np.zeros((3, 2)))


def test_clipping_comes_before_the_rule(tiny):
  params = {"w": jnp.zeros(2)}
  updates = first_update(
    optimizers.sgd,
    settings(tiny, clip_norm=1.0),
    {"w": jnp.array([30.0, 40.0])},
    params,
  )
  np.testing.assert_allclose(updates["w"], [-0.006, -0.008], rtol=1e-6)


def test_adam_refuses_a_decay(tiny):
  with pytest.raises(UserError, match="adamw"):
    make_optimizer(optimizers.adam, settings(tiny, weight_decay=0.1), 10, {})


def test_ngram_tables_have_a_rule_of_their_own(tiny):
  """Worked by hand: row 0 read twice, row 1 once, row 2 never."""
  chosen = settings(tiny, learning_rate=0.01, content_learning_rate=0.5)
  axes = {"table": ("content", "embed"), "kernel": ("embed", None)}
  params = {"table": jnp.ones((3, 2)), "kernel": jnp.ones((2, 2))}
  gradient = {
    "table": jnp.array([[3.0, 4.0], [0.0, 0.0], [0.0, 0.0]]),
    "kernel": jnp.full((2, 2), 2.0),
  }
  transform = make_optimizer(optimizers.adam, chosen, 10, axes).transform
  state = transform.init(params)
  first, state = transform.update(gradient, state, params)
  # Divided by √((3² + 4²) / 2), the root of the row's mean square.
  row = -0.5 * np.array([3.0, 4.0]) / np.sqrt(12.5)
  np.testing.assert_allclose(first["table"], [row, [0, 0], [0, 0]], rtol=1e-6)
  np.testing.assert_allclose(first["kernel"], -0.01, rtol=1e-5)
  gradient["table"] = gradient["table"].at[1].set(jnp.array([0.0, 2.0]))
  second, _ = transform.update(gradient, state, params)
  rows = [row / np.sqrt(2), [0, -0.5 * np.sqrt(2)], [0, 0]]
  np.testing.assert_allclose(second["table"], rows, rtol=1e-6)
