"""What a step applies, and what it refuses to apply."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tagrec_jax.core.trees import named_leaves


def poisoned(batch, value):
  return {**batch, "factor": np.full_like(batch["factor"], value)}


def step_on(backend, state, batch):
  state, report = backend.train_steps(state, backend.place_batches([batch]))
  return state, backend.fetch(report)


@pytest.mark.parametrize("layout", ["data:1,1,1", "fsdp_tensor:2,2,2", "pmap"])
def test_a_non_finite_step_changes_no_bit(tiny, layout):
  backend = tiny.backend(layout)
  state, _ = step_on(backend, backend.init_state(), tiny.batch(0))
  before = jax.device_get(backend.saved(state))
  # Infinite scores make NaN losses; huge ones a finite loss with gradients
  # whose squares overflow.
  for number, value in enumerate([np.nan, np.inf, 1e30]):
    state, report = step_on(backend, state, poisoned(tiny.batch(1), value))
    after = jax.device_get(backend.saved(state))
    for part in ("params", "opt_state", "ema"):
      jax.tree.map(
        lambda a, b: np.testing.assert_array_equal(
          a.view(np.uint8), b.view(np.uint8)
        ),
        _at_least_1d(getattr(after, part)),
        _at_least_1d(getattr(before, part)),
      )
    assert after.step == number + 2
    assert after.skipped == after.skipped_in_row == number + 1
    assert report.skipped_in_row == number + 1
    assert report.last_skipped == number + 1
    assert report.sums["skipped"].total == 1
    assert report.sums["loss/items"].weight == 0
    assert np.isfinite([s.total for s in report.sums.values()]).all()
  assert list(named_leaves(after.params))[report.bad_leaf] == "down.bias"
  # The next good step is taken.
  state, report = step_on(backend, state, tiny.batch(1))
  after = jax.device_get(backend.saved(state))
  assert after.skipped == 3
  assert after.skipped_in_row == 0
  assert after.last_skipped == 3
  assert report.sums["skipped"].total == 0
  assert not np.array_equal(
    after.params["up"]["kernel"], before.params["up"]["kernel"]
  )


def _at_least_1d(tree):
  return jax.tree.map(np.atleast_1d, tree)


def test_a_skipped_step_does_not_move_the_schedule(tiny):
  backend = tiny.backend("data:1,1,1")
  state, first = step_on(backend, backend.init_state(), tiny.batch(0))
  state, _ = step_on(backend, state, poisoned(tiny.batch(1), np.nan))
  state, second = step_on(backend, state, tiny.batch(1))
  schedule = backend.recipe.optimizer.schedule
  np.testing.assert_allclose(
    [r.sums["learning_rate"].total for r in (first, second)],
    [schedule(0), schedule(1)],
    rtol=1e-6,
  )


def test_an_empty_batch_has_a_finite_loss(tiny):
  backend = tiny.backend("data:1,1,1")
  batch = tiny.batch(0)
  for name in ("next", "tags"):
    batch[name] = np.full_like(batch[name], -1)
  _, report = step_on(backend, backend.init_state(), batch)
  assert report.sums["loss"].total == 0
  assert report.sums["skipped"].total == 0


def test_the_average_follows_the_parameters(tiny):
  backend = tiny.backend("data:1,1,1")
  state = backend.init_state()
  np.testing.assert_array_equal(
    state.ema["up"]["kernel"], state.params["up"]["kernel"]
  )
  average = np.array(state.ema["up"]["kernel"])
  for step in range(3):
    state, _ = step_on(backend, state, tiny.batch(step))
    decay = min(backend.recipe.ema_decay, (1 + step) / (10 + step))
    params = np.array(state.params["up"]["kernel"])
    average = decay * average + (1 - decay) * params
  np.testing.assert_allclose(
    backend.answering(state)["up"]["kernel"], average, rtol=1e-5, atol=1e-7
  )


def test_each_step_has_noise_of_its_own(tiny):
  backend = tiny.backend("data:1,1,1")
  losses = []
  for number in (0, 1, 1):
    state = dataclasses.replace(backend.init_state(), step=jnp.int32(number))
    state = jax.device_put(
      state, jax.tree.map(lambda leaf: leaf.sharding, backend.template())
    )
    _, report = step_on(backend, state, tiny.batch(0))
    losses.append(float(report.sums["loss"].total))
  assert losses[0] != losses[1] == losses[2]


def test_without_averages_the_last_parameters_answer(tiny):
  recipe = tiny.recipe(dataclasses.replace(tiny.optimizer, ema_decay=0.0))
  shapes = tiny.make_backend("data:1,1,1", recipe).template()
  assert shapes.ema == {}
  assert shapes.answering is shapes.params


def test_the_reported_norms(tiny):
  """Against optax, on the very gradient."""
  backend = tiny.backend("data:1,1,1")
  recipe, batch = backend.recipe, tiny.batch(0)
  params = jax.device_get(backend.init_state().params)
  _, report = step_on(backend, backend.init_state(), batch)
  key = jax.random.fold_in(_train_key(recipe), 0)

  def loss(params):
    sums = recipe.losses(params, jax.tree.map(jnp.asarray, batch), key, 0, None)
    return sum(w * sums[k].mean() for k, w in recipe.weights.items())

  wanted = optax.tree_utils.tree_norm(jax.jit(jax.grad(loss))(params))
  recipe.losses.traces.pop()
  np.testing.assert_allclose(
    report.sums["gradient_norm"].total, wanted, rtol=1e-5
  )


def _train_key(recipe):
  from tagrec_jax.core.rng import named_key

  return named_key(recipe.seed, "train")
