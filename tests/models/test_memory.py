"""The memory says what the Markov baseline says, on the device."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from tagrec_jax.core.axes import BEGIN, UNKNOWN
from tagrec_jax.data.dataset import Interactions
from tagrec_jax.data.spec import Spec
from tagrec_jax.models.baselines.markov import Markov
from tagrec_jax.models.decoder.memory import TransitionMemory, interpolate
from tests.serving.made import made_dataset


def walks():
  """30 people, each a random walk over 12 products."""
  random = np.random.default_rng(0)
  offsets = 8 * np.arange(31)
  events = Interactions(
    offsets,
    random.integers(0, 12, 240).astype(np.int32),
    np.zeros(240, np.int64),
  )
  return dataclasses.replace(
    made_dataset(),
    spec=Spec(12, 0, ()),
    events=events,
    train_ends=offsets[1:] - 2,
  )


def test_it_agrees_with_the_baseline():
  dataset = walks()
  histories = jnp.array(
    [
      [BEGIN, 3, 7, 11, UNKNOWN],
      [5, UNKNOWN, 5, 0, 2],
      [BEGIN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN],
    ]
  )
  memory = TransitionMemory.of(dataset)
  said = jax.jit(TransitionMemory.__call__)(memory, histories)
  wanted = Markov().fit(dataset)({"history_ids": histories})
  np.testing.assert_allclose(said, wanted, atol=1e-6)
  np.testing.assert_allclose(said.sum(1), 1, atol=1e-5)


def test_a_short_memory_is_still_a_distribution():
  said = TransitionMemory.of(walks(), followers=2)(jnp.array([[3, 7]]))
  np.testing.assert_allclose(said.sum(1), 1, atol=1e-5)


def test_interpolation_of_distributions():
  scores = jnp.log(jnp.array([[0.5, 0.3, 0.2]])) + 4
  memory = jnp.array([[0.0, 0.0, 1.0]])
  for weight, wanted in ((0.0, [0.5, 0.3, 0.2]), (0.5, [0.25, 0.15, 0.6])):
    mixed = jnp.exp(interpolate(scores, memory, weight)) / 3
    np.testing.assert_allclose(mixed[0], wanted, rtol=1e-5)
