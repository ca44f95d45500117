"""Events are read with how long before the moment asked they were."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.models.encoder import ages
from tests.models.test_recommender import CONTENT, SMALL, Model, make_batch

LATEST = 2**31 - 1


def test_buckets_are_exact_powers_of_two():
  seconds = [0, 1, 2, 3, 4, 2**20 - 1, 2**20, 2**30 - 1, 2**30, LATEST]
  got = ages.ages(jnp.array(seconds), jnp.zeros(10, jnp.int32))
  np.testing.assert_array_equal(got, [0, 1, 2, 2, 3, 20, 21, 30, 31, 31])
  assert int(got.max()) == ages.BUCKETS - 1


def test_what_is_not_known_has_no_age_and_later_events_are_new():
  asked, event = jnp.array([UNKNOWN, 5, 5, UNKNOWN]), jnp.array([5, -1, 9, -1])
  np.testing.assert_array_equal(ages.ages(asked, event), [-1, -1, 0, -1])


TIMES = {
  "history_times": jnp.array([[-1, 0, 60, 0, 9, 4000, -1, -1]]),
  "asked_times": jnp.array([[0, 60, 90000, 9, 4000, 90000, -1, -1]]),
}


def trained(encoder):
  """A model in whose tables of ages there is something."""
  model = Model(dataclasses.replace(SMALL, ages=True), encoder)
  for name in ("event_ages", "attention_ages"):
    if name in model.params:
      table = model.params[name]["table"]
      model.params[name]["table"] = jax.random.normal(
        jax.random.key(1), table.shape
      )
  return model


@pytest.mark.parametrize("encoder", ["transformer", "long_short", "linear"])
def test_ages_matter_and_those_of_others_do_not(encoder):
  model, batch = trained(encoder), make_batch() | TIMES
  assert ("attention_ages" in model.params) == (encoder != "linear")
  before = model.ask(batch)["items"].query_BTD[0]
  # The second event of the second person, and the moment it was asked for.
  other = batch["history_times"].at[0, 4].set(3000)
  after = model.ask(batch | {"history_times": other})["items"].query_BTD[0]
  changed = np.abs(before - after).max(-1)
  assert (changed[4:6] > 1e-6).all()
  assert (changed[:4] < 1e-6).all()


@pytest.mark.parametrize("encoder", ["transformer", "gru"])
def test_without_times_a_model_answers_as_one_without_ages(encoder):
  batch = make_batch()
  none = {name: jnp.full((1, 8), UNKNOWN) for name in TIMES}
  model = trained(encoder)
  got = model.ask(batch | none)["items"].query_BTD
  plain = Model(SMALL, encoder)
  plain.params = {
    name: value for name, value in model.params.items() if "ages" not in name
  }
  np.testing.assert_allclose(
    got, plain.ask(batch)["items"].query_BTD, atol=1e-6
  )


def test_asking_at_some_positions_answers_as_asking_at_all():
  model, batch = trained("transformer"), make_batch() | TIMES
  asked_BT = jnp.array([[5, 2]])

  @jax.jit
  def some(params):
    model_ = model.of(params)
    vectors_CD = model_.products.vectors(CONTENT)
    return model_(batch, vectors_CD, asked_BT=asked_BT)

  np.testing.assert_allclose(
    some(model.params)["items"].query_BTD,
    model.ask(batch)["items"].query_BTD[:, [5, 2]],
    atol=1e-6,
  )
