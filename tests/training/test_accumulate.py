"""A batch that is taken in parts says what the whole batch says."""

from __future__ import annotations

import dataclasses
import functools

import jax
import numpy as np
import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.training.state import new_state
from tagrec_jax.training.step import make_train_step
from tests.layouts import run_batches


@pytest.fixture(scope="module")
def in_parts(tiny):
  """(layout, parts) → a backend, compiled once."""

  @functools.cache
  def make(layout, parts):
    recipe = dataclasses.replace(tiny.recipe(), accumulate_steps=parts)
    return tiny.make_backend(layout, recipe)

  return make


@pytest.fixture(scope="module")
def wanted(tiny):
  """Rows are unevenly full, and three of them empty; dropout is at work."""
  batches = [tiny.batch(step) for step in range(2)]
  return batches, run_batches(tiny.backend("data:1,1,1"), batches)


@pytest.mark.parametrize(
  ("layout", "parts"),
  [
    ("data:1,1,1", 16),
    ("fsdp_tensor:2,2,2", 4),
    pytest.param("pmap2", 4, marks=pytest.mark.nightly),
    pytest.param("data:8,1,1", 2, marks=pytest.mark.nightly),
    pytest.param("fsdp:2,4,1", 2, marks=pytest.mark.nightly),
    pytest.param("tensor:2,1,4", 4, marks=pytest.mark.nightly),
  ],
)
def test_parts_say_what_the_whole_batch_says(in_parts, wanted, layout, parts):
  """The noise too: no row has that of another, whatever its part."""
  batches, expected = wanted
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5),
    run_batches(in_parts(layout, parts), batches),
    expected,
  )


def test_one_bad_part_is_a_bad_step(in_parts, wanted):
  batch = dict(wanted[0][0])
  batch["factor"] = np.array([1] * 15 + [np.nan], np.float32)
  backend = in_parts("data:1,1,1", 16)
  start = jax.device_get(backend.init_state())
  state, (report,) = run_batches(backend, [batch])
  jax.tree.map(np.testing.assert_array_equal, state.params, start.params)
  assert report.bad.all()
  assert state.skipped == 1
  assert report.sums["skipped"].total == 1


@pytest.mark.nightly
def test_parts_need_the_memory_of_a_small_batch(tiny):
  batch = {
    n: np.tile(x, (16, *[1] * (x.ndim - 1))) for n, x in tiny.batch(0).items()
  }

  def memory(parts):
    recipe = dataclasses.replace(tiny.recipe(), accumulate_steps=parts)
    step = jax.jit(make_train_step(recipe), donate_argnums=0)
    state = jax.eval_shape(lambda: new_state(recipe))
    compiled = step.lower(state, batch, jax.random.key(0)).compile()
    return compiled.memory_analysis().temp_size_in_bytes

  assert memory(16) < memory(1) / 4


def test_rows_that_parts_do_not_divide_are_an_error(in_parts, tiny):
  wanted = r"16 rows on 2 .* x 3 config.train.accumulate_steps.* 12, 18 or 24"
  for layout in ("data:2,1,1", "pmap2"):
    with pytest.raises(UserError, match=wanted):
      in_parts(layout, 3).place_batches([tiny.batch(0)])
