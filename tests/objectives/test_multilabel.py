"""Losses over label sets against a float64 oracle."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tagrec_jax.data.tag_counts import TagCounts
from tagrec_jax.objectives.multilabel import (
  Asymmetric,
  DecoupledSoftmax,
  MultilabelSigmoid,
  MultilabelSoftmax,
)
from tagrec_jax.objectives.tiles import Tiling

C = 40
WEIGHTS = np.random.default_rng(1).uniform(0.2, 3.0, C).astype(np.float32)
ALIKE = np.ones(C, np.float32)


def softmax_row(weights, scores, labels):
  log_p = scores - scores.max()
  log_p -= np.log(np.exp(log_p).sum())
  wanted = np.zeros(scores.size)
  wanted[labels] = weights[labels] / labels.size
  return -wanted @ log_p, np.exp(log_p) * wanted.sum() - wanted


def decoupled_row(weights, scores, labels):
  wrong = np.delete(np.arange(scores.size), labels)
  loss, slope = 0.0, np.zeros(scores.size)
  for label in labels:
    share = weights[label] / labels.size
    logits = np.append(scores[wrong], scores[label])
    log_sum = np.logaddexp.reduce(logits)
    loss += share * (log_sum - scores[label])
    p = np.exp(logits - log_sum)
    slope[wrong] += share * p[:-1]
    slope[label] += share * (p[-1] - 1)
  return loss, slope


def binary_row(gamma, margin):
  """The loss; its gradient by a central difference of the cost."""

  def cost(scores):
    log_rest = -np.logaddexp(0, scores)
    q = np.maximum(np.exp(-np.logaddexp(0, -scores)) - margin, 0)
    log_left = np.log1p(-q) if margin else log_rest
    return -(q**gamma) * log_left

  def row(weights, scores, labels):
    loss, slope = (
      cost(scores),
      (cost(scores + 1e-5) - cost(scores - 1e-5)) / (2e-5),
    )
    loss[labels] = weights[labels] * np.logaddexp(0, -scores[labels])
    slope[labels] = -weights[labels] * np.exp(-np.logaddexp(0, scores[labels]))
    return loss.sum(), slope

  return row


LOSSES = {
  "softmax": (MultilabelSoftmax, {}, softmax_row),
  "decoupled": (DecoupledSoftmax, {}, decoupled_row),
  "sigmoid": (MultilabelSigmoid, {}, binary_row(0, 0)),
  "asymmetric": (
    Asymmetric,
    {"gamma": 2.0, "margin": 0.05},
    binary_row(2, 0.05),
  ),
  "asymmetric, no margin": (
    Asymmetric,
    {"gamma": 1.5, "margin": 0.0},
    binary_row(1.5, 0),
  ),
}
all_losses = pytest.mark.parametrize("name", LOSSES)


def check(name, check_against_oracle, batch, weights=None, **changes):
  kind, how, row = LOSSES[name]
  tolerance = {k: changes.pop(k) for k in ("rtol", "atol") if k in changes}
  used = ALIKE if weights is None else weights
  check_against_oracle(
    kind(weights=weights, **how, **changes),
    lambda scores, labels: row(used, scores, labels),
    batch,
    **tolerance,
  )


@all_losses
@settings(max_examples=4, phases=[Phase.generate])
@given(
  shape=st.tuples(*(st.integers(1, n) for n in (3, 7, 5, C, 6))),
  tiling=st.sampled_from([Tiling(cache_bytes=1, questions=7), Tiling()]),
  weighted=st.booleans(),
)
def test_equals_the_oracle(
  name, shape, tiling, weighted, make_batch, check_against_oracle
):
  weights = WEIGHTS[: shape[3]] if weighted else None
  batch = make_batch(*shape)
  check(name, check_against_oracle, batch, weights, tiling=tiling)


@all_losses
def test_scores_may_be_too_large_for_exp(
  name, make_batch, check_against_oracle
):
  batch = make_batch(2, 7, 5, 23, 4, scale=100.0)
  check(name, check_against_oracle, batch, WEIGHTS[:23], rtol=1e-3)


def test_a_label_far_above_does_not_blur_the_others():
  """Scores 30 and 0 are right, 0 is wrong: log(1 + e^-30) and log 2."""
  loss = DecoupledSoftmax()(
    jnp.ones((1, 1, 1)),
    jnp.array([[30.0], [0.0], [0.0]]),
    jnp.zeros(3),
    jnp.array([[[0, 1]]]),
  )
  np.testing.assert_allclose(loss.total, np.log(2) / 2, rtol=1e-6)


@pytest.mark.parametrize(
  ("name", "by_hand"),
  [
    ("softmax", -np.log(3 / 4)),
    ("decoupled", -np.log(3 / 4)),
    ("sigmoid", -np.log(3 / 4) - np.log(1 / 2)),
    ("asymmetric", -np.log(3 / 4) - 0.45**2 * np.log(0.55)),
    ("asymmetric, no margin", -np.log(3 / 4) - 0.5**1.5 * np.log(1 / 2)),
  ],
)
def test_one_label_by_hand(name, by_hand):
  """Two entries with scores log 3 and 0: p = 3/4 and 1/4, or σ 3/4 and 1/2."""
  kind, how, _ = LOSSES[name]
  loss = kind(**how)(
    jnp.ones((1, 1, 1)),
    jnp.log(jnp.array([[3.0], [1.0]])),
    jnp.zeros(2),
    jnp.array([[[0, -1]]]),
  )
  np.testing.assert_allclose(loss.total, by_hand, rtol=1e-6)
  assert loss.weight == 1


@all_losses
def test_nothing_to_answer_costs_nothing(name, make_batch):
  """No labels, or only labels that training does not know."""
  kind, how, _ = LOSSES[name]
  *inputs, labels = make_batch(2, 3, 4, 11, 2)
  labels = jnp.full_like(labels, -1).at[0].set(11)

  def total(*inputs):
    loss = kind(weights=WEIGHTS[:11], **how)(*inputs, labels)
    return loss.total, loss.weight

  run = jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True)
  (loss, weight), grads = jax.jit(run)(*inputs)
  assert (loss, weight) == (0, 0)
  for grad in grads:
    np.testing.assert_array_equal(grad, 0.0)


@all_losses
def test_labels_unknown_to_training_change_nothing(name, make_batch):
  kind, how, _ = LOSSES[name]
  *inputs, labels = make_batch(2, 3, 4, 11, 2)
  new = jnp.full((2, 3, 1), 11)
  objective = kind(weights=WEIGHTS[:11], **how)
  one = objective(*inputs, labels)
  other = objective(*inputs, jnp.concatenate([labels, new], axis=-1))
  np.testing.assert_allclose(one.total, other.total, rtol=1e-6)
  assert one.weight == other.weight


def test_all_entries_may_be_right():
  loss = DecoupledSoftmax()(
    jnp.ones((1, 1, 1)),
    jnp.array([[-90.0], [2.0]]),
    jnp.zeros(2),
    jnp.array([[[0, 1]]]),
  )
  assert loss.total == 0


@all_losses
def test_products_may_be_of_few_digits(name, make_batch):
  kind, how, _ = LOSSES[name]
  queries, *rest = make_batch(2, 7, 8, 40, 4)
  run = jax.jit(lambda queries: kind(**how)(queries, *rest).total)
  got = run(queries.astype(jnp.bfloat16))
  np.testing.assert_allclose(got, run(queries), rtol=2e-2)


def test_weights_of_settings(objective_settings):
  counts = TagCounts(100, np.array([50, 1, 0]))
  weights = counts.weights(0.5)
  made = Asymmetric.from_settings(objective_settings, counts)
  np.testing.assert_array_equal(made.weights, weights)
  assert (made.gamma, made.margin) == (3.0, 0.1)
  assert weights[0] < 1 < weights[1] < weights[2]
