"""A trained state gets rows for what came later."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.training import optimizer
from tagrec_jax.training.grow import grow
from tagrec_jax.training.recipe import Recipe
from tagrec_jax.training.state import new_state


@pytest.fixture
def recipe_of(tiny):
  """Rows of products, of tags → the recipe of a small model."""
  settings = dataclasses.replace(
    tiny.optimizer, content_learning_rate=0.05, ema_decay=0.9
  )
  axes = {
    "items": ("products", "embed"),
    "bias": ("vocabulary",),
    "ngrams": ("content", "embed"),
  }

  def make(items: int, tags: int, width: int = 3) -> Recipe:
    shapes = {"items": (items, width), "bias": (tags,), "ngrams": (9, width)}
    return Recipe(
      init=lambda key: {
        name: jax.random.normal(jax.random.fold_in(key, place), shape)
        for place, (name, shape) in enumerate(shapes.items())
      },
      axes=axes,
      losses=lambda *_: {},
      weights={"items": 1.0},
      optimizer=optimizer.make_optimizer(optimizer.adamw, settings, 50, axes),
      ema_decay=0.9,
    )

  return make


def trained(recipe):
  """A state after two updates, that are not those of any loss."""
  state = new_state(recipe)
  for number in (1.0, 2.0):
    gradients = jax.tree.map(lambda x, n=number: n + x, state.params)
    updates, moments = recipe.optimizer.transform.update(
      gradients, state.opt_state, state.params
    )
    state = dataclasses.replace(
      state,
      step=state.step + 1,
      params=optax.apply_updates(state.params, updates),
      opt_state=moments,
    )
  return dataclasses.replace(state, skipped=jnp.int32(4))


def test_rows_are_0_and_biases_means_and_moments_nothing(recipe_of):
  old = trained(recipe_of(5, 4))
  wanted = jax.eval_shape(lambda: new_state(recipe_of(7, 5)))
  new = grow(old, wanted)
  assert jax.tree.structure(new) == jax.tree.structure(wanted)
  same = jax.tree.map(
    lambda a, b: (a.shape, a.dtype) == (b.shape, b.dtype), new, wanted
  )
  assert all(jax.tree.leaves(same))
  for before, after in ((old.params, new.params), (old.ema, new.ema)):
    for name, rows in before.items():
      np.testing.assert_array_equal(after[name][: len(rows)], rows)
      wanted_row = rows.mean(0) if rows.ndim == 1 else np.zeros(rows.shape[1])
      for row in after[name][len(rows) :]:
        np.testing.assert_allclose(row, wanted_row, rtol=1e-6)
  grown = 0
  for before, after in zip(
    jax.tree.leaves(old.opt_state), jax.tree.leaves(new.opt_state), strict=True
  ):
    if before.shape == after.shape:
      np.testing.assert_array_equal(after, before)
    else:
      np.testing.assert_array_equal(after[: len(before)], before)
      np.testing.assert_array_equal(after[len(before) :], 0)
      grown += 1
  assert grown == 4  # two moments of two parameters
  assert (new.step, new.skipped, new.last_skipped) == (2, 4, -1)


def test_a_grown_state_trains_on(recipe_of):
  longer = recipe_of(7, 5)
  new = grow(
    trained(recipe_of(5, 4)), jax.eval_shape(lambda: new_state(longer))
  )
  gradients = jax.tree.map(jnp.ones_like, new.params)
  updates, _ = longer.optimizer.transform.update(
    gradients, new.opt_state, new.params
  )
  assert all(np.isfinite(u).all() for u in jax.tree.leaves(updates))
  assert (updates["items"][5:] != 0).all()


def test_nothing_new_changes_nothing(recipe_of):
  old = trained(recipe_of(5, 4))
  jax.tree.map(np.testing.assert_array_equal, grow(old, old), old)


@pytest.mark.parametrize(
  ("items", "tags", "width", "found"),
  [(4, 4, 3, r"\(4, 3\)"), (5, 3, 3, r"\(3,\)"), (5, 4, 2, r"\(\d, 2\)")],
)
def test_only_rows_may_be_more(recipe_of, items, tags, width, found):
  wanted = jax.eval_shape(lambda: new_state(recipe_of(items, tags, width)))
  with pytest.raises(UserError, match=f"found shape {found}"):
    grow(trained(recipe_of(5, 4)), wanted)
