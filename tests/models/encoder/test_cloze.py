"""Hidden events are told from both sides, and from nothing else."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tagrec_jax.core.axes import BEGIN, UNKNOWN
from tagrec_jax.layers.noise import Noise
from tagrec_jax.models.encoder import cloze
from tagrec_jax.models.encoder.transformer import TransformerHistory
from tests.models.encoder.made import model_settings, rngs

SEGMENTS = jnp.array([[1, 1, 1, 1, 2, 2, 0, 0]])
POSITIONS = jnp.array([[0, 1, 2, 3, 0, 1, 0, 0]])


@functools.partial(jax.jit, static_argnums=1)
def hidden(key, rate=0.5):
  return cloze.hide(
    {
      "history_ids": jnp.tile(jnp.array([BEGIN, 5, 6, UNKNOWN]), (50, 10)),
      "target_ids": jnp.tile(jnp.array([5, 6, 7, UNKNOWN]), (50, 10)),
    },
    rate,
    Noise(key),
  )


def test_every_event_is_either_read_or_asked_for():
  found = hidden(jax.random.key(0))
  read, asked = found["history_ids"], found["target_ids"]
  events = np.tile([5, 6, 7, UNKNOWN], (50, 10))
  np.testing.assert_array_equal(np.maximum(read, asked), events)
  np.testing.assert_array_equal(np.minimum(read, asked), UNKNOWN)
  share = (asked >= 0).sum() / (events >= 0).sum()
  np.testing.assert_allclose(share, 0.5, atol=0.05)


def test_what_is_hidden_follows_from_the_key_alone():
  first, again, other = (hidden(jax.random.key(s)) for s in (0, 0, 1))
  np.testing.assert_array_equal(first["target_ids"], again["target_ids"])
  assert (first["target_ids"] != other["target_ids"]).any()


def test_the_next_event_is_a_hidden_one_after_all_others():
  batch = {
    "history_ids": jnp.array([[BEGIN, 3, 4, UNKNOWN], [BEGIN, 7, 8, 9]]),
    "last": jnp.array([2, 3]),
  }
  np.testing.assert_array_equal(
    cloze.hide_next(batch)["history_ids"],
    [[3, 4, UNKNOWN, UNKNOWN], [7, 8, 9, UNKNOWN]],
  )


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_both_sides_of_a_person_are_read_and_nobody_else(positions):
  settings = model_settings(layers=2, positions=positions, dropout=0.0)
  model = TransformerHistory(settings, 8, rngs(), both_sides=True)
  graph, params = nnx.split(model)

  @jax.jit
  def jacobian(x):
    ask = lambda x: nnx.merge(graph, params)(x, SEGMENTS, POSITIONS, None)
    return jax.jacobian(lambda x: ask(x)[0])(x)[:, :, 0]  # [T, D, S, D]

  x = jax.random.normal(jax.random.key(1), (1, 8, 16))
  seen = np.abs(jacobian(x)).sum((1, 3))
  same = np.asarray(SEGMENTS)[0][:, None] == np.asarray(SEGMENTS)[0]
  assert (seen[:6, :6][same[:6, :6]] > 0).all()
  assert (seen[:6][~same[:6]] == 0).all()
