"""Several interests of a person, and which of them answers."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from tagrec_jax.models.decoder.ranking import Query, scores
from tagrec_jax.models.encoder.interests import Interests
from tests.models.encoder.made import axes_fit, model_settings, rngs
from tests.models.test_recommender import SMALL, Model, make_batch

SEGMENTS = jnp.array([[1, 1, 1, 2, 2, 0]])


def make(count=3):
  return Interests(model_settings(interests=count), rngs())


def states():
  return jax.random.normal(jax.random.key(1), (1, 6, 16))


def test_it_equals_a_slow_loop():
  model, x = make(), states()
  keys = jnp.tanh(model.keys(x))
  logits = np.asarray(model.questions(keys))[0]
  got = model(x, SEGMENTS).reshape(1, 6, 3, 16)
  for t in range(5):
    mine = [s for s in range(t + 1) if SEGMENTS[0, s] == SEGMENTS[0, t]]
    for i in range(3):
      weights = np.exp(logits[mine, i])
      found = (weights / weights.sum()) @ np.asarray(x)[0, mine]
      out = model.out[i](jnp.asarray(found, jnp.float32)[None])
      wanted = model.norm(x[0, t][None] + out)[0]
      np.testing.assert_allclose(got[0, t, i], wanted, rtol=1e-4, atol=1e-5)


def test_every_axis_has_a_name():
  assert axes_fit(make())


def test_no_interest_sees_the_future_or_another_person():
  model = make()
  jacobian = jax.jacobian(lambda x: model(x, SEGMENTS))(states())
  seen = np.abs(jacobian[0, :, :, 0]).sum((1, 3)).reshape(6, 3, 6)
  segments = np.asarray(SEGMENTS[0])
  allowed = (segments[:, None] == segments) & np.tri(6, dtype=bool)
  for i in range(3):
    assert (seen[:5, i][~allowed[:5]] == 0).all()
    assert (seen[:5, i][allowed[:5]] > 0).all()


def test_the_score_is_that_of_the_best_interest():
  random = np.random.default_rng(0)
  query_BTD = jnp.asarray(random.normal(size=(4, 3, 5)), jnp.float32)
  vectors = jnp.asarray(random.normal(size=(7, 5)), jnp.float32)
  bias = jnp.asarray(random.normal(size=7), jnp.float32)
  got = scores(Query(query_BTD, vectors, bias, interests=3))
  each = np.array(np.einsum("BID,CD->BIC", query_BTD, vectors))
  each += np.asarray(bias)
  np.testing.assert_allclose(got, each.max(1), rtol=1e-5)


def test_a_target_is_asked_for_by_the_interest_near_it():
  random = np.random.default_rng(0)
  query_BTD = jnp.asarray(random.normal(size=(2, 12, 5)), jnp.float32)
  vectors = jnp.asarray(random.normal(size=(7, 5)), jnp.float32)
  targets = jnp.array([[[0, 3], [6, -1], [-1, -1], [2, 2]]] * 2)
  query = Query(query_BTD, vectors, jnp.zeros(7), interests=3)
  best = query.best_for(targets)
  assert best.interests == 1
  assert best.query_BTD.shape == (2, 4, 5)
  for b, t in np.ndindex(2, 4):
    rows = query_BTD[b, 3 * t : 3 * t + 3]
    wanted = sum(vectors[c] for c in targets[b, t] if c >= 0)
    row = rows[jnp.argmax(rows @ wanted)] if t != 2 else rows[0]
    np.testing.assert_array_equal(best.query_BTD[b, t], row)


def test_asking_at_some_positions_answers_as_asking_at_all():
  model = Model(dataclasses.replace(SMALL, interests=2))
  batch = make_batch()
  asked_BT = jnp.array([[5, 2]])

  @jax.jit
  def memory(params, asked_BT):
    model_ = model.of(params)
    vectors_CD = jnp.ones((20, 16)) * jnp.arange(20)[:, None]
    return model_.encode(batch, vectors_CD, None, asked_BT)

  every = memory(model.params, None)
  assert every.shape == (1, 16, 16)
  rows = jnp.array([10, 11, 4, 5])
  np.testing.assert_allclose(
    memory(model.params, asked_BT), every[:, rows], atol=1e-5
  )
