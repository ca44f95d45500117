"""Losses over label sets against a float64 oracle."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tagrec_jax.objectives.multilabel import (
  MultilabelSigmoid,
  MultilabelSoftmax,
)
from tagrec_jax.objectives.tiles import Tiling


def softmax_row(scores, labels):
  log_p = scores - scores.max()
  log_p -= np.log(np.exp(log_p).sum())
  wanted = np.bincount(labels, minlength=scores.size) / labels.size
  return -wanted @ log_p, np.exp(log_p) - wanted


def sigmoid_row(scores, labels):
  wanted = np.bincount(labels, minlength=scores.size)
  loss = np.logaddexp(0, np.where(wanted, -scores, scores)).sum()
  return loss, 1 / (1 + np.exp(np.minimum(-scores, 700))) - wanted


ROWS = [(MultilabelSoftmax, softmax_row), (MultilabelSigmoid, sigmoid_row)]


@pytest.mark.parametrize(("kind", "row"), ROWS)
@settings(max_examples=4, phases=[Phase.generate])
@given(
  shape=st.tuples(*(st.integers(1, n) for n in (3, 7, 5, 40, 6))),
  tiling=st.sampled_from([Tiling(cache_bytes=1, questions=7), Tiling()]),
)
def test_equals_the_oracle(
  kind, row, shape, tiling, make_batch, check_against_oracle
):
  batch = make_batch(*shape)
  check_against_oracle(kind(tiling), row, batch)


@pytest.mark.parametrize(("kind", "row"), ROWS)
def test_scores_may_be_too_large_for_exp(
  kind, row, make_batch, check_against_oracle
):
  batch = make_batch(2, 7, 5, 23, 4, scale=100.0)
  check_against_oracle(kind(), row, batch, rtol=1e-3)


@pytest.mark.parametrize(("kind", "row"), ROWS)
def test_one_label_by_hand(kind, row):
  """Two entries with scores log 3 and 0: p = 3/4 and 1/4, and σ the same."""
  del row
  loss = kind()(
    jnp.ones((1, 1, 1)),
    jnp.log(jnp.array([[3.0], [1.0]])),
    jnp.zeros(2),
    jnp.array([[[0, -1]]]),
  )
  by_hand = {
    MultilabelSoftmax: -np.log(3 / 4),
    MultilabelSigmoid: -np.log(3 / 4) - np.log(1 / 2),
  }
  np.testing.assert_allclose(loss.total, by_hand[kind], rtol=1e-6)
  assert loss.weight == 1


@pytest.mark.parametrize(("kind", "row"), ROWS)
def test_nothing_to_answer_costs_nothing(kind, row, make_batch):
  del row
  *inputs, labels = make_batch(2, 3, 4, 11, 2)

  def total(*inputs):
    loss = kind()(*inputs, jnp.full_like(labels, -1))
    return loss.total, loss.weight

  run = jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True)
  (loss, weight), grads = jax.jit(run)(*inputs)
  assert (loss, weight) == (0, 0)
  for grad in grads:
    np.testing.assert_array_equal(grad, 0.0)
