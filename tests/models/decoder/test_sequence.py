"""A decoder reads what is written before, and what it may look back on."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from configs import base
from tagrec_jax.core.settings import from_dict
from tagrec_jax.layers.noise import Noise
from tagrec_jax.models.decoder.sequence import SequenceDecoder

SMALL = dataclasses.replace(
  from_dict(base.get_config().to_dict()).model,
  width=16,
  hidden=32,
  decoder_layers=2,
)
B, T, L, S = 2, 3, 4, 5
MASK = jnp.array(
  [
    [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 0, 0]],
    [[1, 1, 1, 1, 0], [0, 0, 0, 1, 0], [1, 1, 1, 1, 1]],
  ],
  bool,
)


@functools.cache
def model() -> tuple:
  make = lambda: SequenceDecoder(SMALL, nnx.Rngs(params=jax.random.key(0)))
  graph, _ = nnx.split(nnx.eval_shape(make))
  return graph, jax.jit(lambda: nnx.to_pure_dict(nnx.state(make())))()


def inputs():
  keys = jax.random.split(jax.random.key(1))
  return (
    jax.random.normal(keys[0], (B, T, L, 16)),
    jax.random.normal(keys[1], (B, S, 16)),
  )


def written(x_BTLD, memory_BSD):
  """A number of each token; a plain sum of what is normed would be 0."""
  graph, params = model()
  decoder = nnx.merge(graph, nnx.State(params))
  y_BTLD = decoder(x_BTLD, decoder.remember(memory_BSD, MASK))
  return y_BTLD @ jnp.arange(16.0)


def derivative(of, at):
  model()  # made before anything is traced
  return jax.jit(jax.jacobian(of))(at)


def test_a_token_depends_on_those_before_it_alone():
  x, memory = inputs()
  jacobian = derivative(lambda x: written(x, memory), x)
  depends = np.abs(jacobian).sum(-1)  # [B, T, L] of [B, T, L]
  for row, asked in np.ndindex(B, T):
    own = depends[row, asked, :, row, asked]
    assert (own[np.triu_indices(L, 1)] == 0).all()
    assert (own[np.tril_indices(L)] > 0).all()
    depends[row, asked, :, row, asked] = 0
  assert (depends == 0).all(), "a sequence reads another one"


def test_it_looks_back_on_what_its_mask_shows():
  x, memory = inputs()
  jacobian = derivative(lambda m: written(x, m).sum(2), memory)
  depends = np.abs(jacobian).sum(-1)  # [B, T, B, S]
  for row in range(B):
    seen = depends[row, :, row] > 0
    np.testing.assert_array_equal(seen, MASK[row])
    depends[row, :, row] = 0
  assert (depends == 0).all(), "a row looks at another one"


@pytest.mark.parametrize(
  "asked",
  [*(pytest.param(t, marks=pytest.mark.nightly) for t in range(T - 1)), T - 1],
)
def test_a_step_with_what_was_kept_is_as_all_at_once(asked):
  """Beams of one row hold the three sequences of it, one mask for all."""
  x, memory = inputs()
  graph, params = model()
  mask = MASK[:, asked : asked + 1]

  @jax.jit
  def both(x, memory):
    decoder = nnx.merge(graph, nnx.State(params))
    whole = decoder(x, decoder.remember(memory, jnp.repeat(mask, T, axis=1)))
    remembered = decoder.remember(memory, mask)
    state, steps = decoder.nothing(B, T, L), []
    for place in range(L):
      y, state = decoder.step(
        x[:, :, place], state, remembered, jnp.int32(place)
      )
      steps.append(y)
    return whole, jnp.stack(steps, axis=2)

  whole, steps = both(x, memory)
  np.testing.assert_allclose(whole, steps, atol=1e-5)


def test_noise_changes_what_is_written_and_is_repeatable():
  x, memory = inputs()
  graph, params = model()

  @jax.jit
  def noisy(key):
    decoder = nnx.merge(graph, nnx.State(params))
    return decoder(x, decoder.remember(memory, MASK), Noise(key))

  first = noisy(jax.random.key(0))
  np.testing.assert_array_equal(first, noisy(jax.random.key(0)))
  assert np.abs(first - noisy(jax.random.key(1))).max() > 0.01
