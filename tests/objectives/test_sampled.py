"""Losses with negatives: by hand, against an oracle, and their statistics."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tagrec_jax.objectives.gbce import GBCE
from tagrec_jax.objectives.negatives import Negatives
from tagrec_jax.objectives.pairwise import BPR
from tagrec_jax.objectives.sampled_softmax import SampledSoftmax
from tagrec_jax.objectives.softmax import Softmax

KEY = jax.random.key(7)


def draw(key, catalogue, number):
  drawn = Negatives.draw(key, catalogue, number)
  return drawn.entries_K, drawn.weights_K


OBJECTIVES = [SampledSoftmax(4), GBCE(4, 0.75), BPR(4)]


def sampled_softmax_row(entries, weights):
  def row(scores, labels):
    (target,) = labels
    mass = np.zeros_like(scores)
    mass[entries] = weights
    mass[target] = 1
    p = mass * np.exp(scores - scores.max())
    p /= p.sum()
    return -np.log(p[target]), p - (np.arange(scores.size) == target)

  return row


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def gbce_row(entries, beta):
  def row(scores, labels):
    (target,) = labels
    wrong = np.isin(np.arange(scores.size), entries)
    wrong[target] = False
    s = sigmoid(scores)
    loss = -beta * np.log(s[target]) - np.log(1 - s[wrong]).sum()
    slope = np.where(wrong, s, 0.0)
    slope[target] = -beta * (1 - s[target])
    return loss / (len(entries) + 1), slope / (len(entries) + 1)

  return row


def bpr_row(entries):
  def row(scores, labels):
    (target,) = labels
    wrong = entries[entries != target]
    margins = sigmoid(scores[target] - scores[wrong])
    slope = np.zeros_like(scores)
    slope[wrong] = (1 - margins) / wrong.size
    slope[target] = -slope[wrong].sum()
    return -np.log(margins).mean(), slope

  return row


def test_slices_are_equal_and_each_gives_one():
  entries, weights = draw(KEY, 11, 4)
  np.testing.assert_array_equal(weights, [2, 3, 3, 3])
  for entry, low, high in zip(
    entries, [0, 2, 5, 8], [2, 5, 8, 11], strict=True
  ):
    assert low <= entry < high
  all_of_them, ones = draw(KEY, 11, 99)
  np.testing.assert_array_equal(all_of_them, np.arange(11))
  np.testing.assert_array_equal(ones, 1)


def test_every_entry_stands_for_itself_on_average():
  """The weighted counts of many draws have mean 1 for each entry."""
  draws = 4000
  entries, weights = jax.vmap(lambda key: draw(key, 11, 4))(
    jax.random.split(KEY, draws)
  )
  counts = np.zeros(11)
  np.add.at(counts, np.asarray(entries), np.asarray(weights))
  # One entry's count has standard deviation below √2 a draw: 4 of them.
  np.testing.assert_allclose(counts / draws, 1, atol=4 * (2 / draws) ** 0.5)


def test_the_catalogue_does_not_overflow():
  entries, weights = draw(KEY, 2**31 - 1, 3000)
  assert np.all(np.diff(np.asarray(entries, np.int64)) > 0)
  assert weights.sum() == pytest.approx(2**31 - 1, rel=1e-6)


@pytest.mark.parametrize("number", [1, 5, 40])
@pytest.mark.parametrize(
  "objective", OBJECTIVES, ids=lambda o: type(o).__name__
)
def test_equals_the_oracle(objective, number, make_batch, check_against_oracle):
  C = 23
  objective = type(objective)(**{**vars(objective), "negatives": number})
  entries, weights = (np.asarray(x) for x in draw(KEY, C, number))
  if isinstance(objective, SampledSoftmax):
    row = sampled_softmax_row(entries, weights)
  elif isinstance(objective, GBCE):
    row = gbce_row(entries, objective.beta(C))
  else:
    row = bpr_row(entries)
  batch = make_batch(2, 6, 5, C)
  targets = np.array(batch[3])
  if number == 1:  # a question whose only negative is its target
    targets[targets == entries[0]] = (entries[0] + 1) % C
  check_against_oracle(
    objective,
    row,
    (*batch[:3], jnp.asarray(targets)),
    Negatives.draw(KEY, C, number),
  )


def test_as_many_negatives_as_entries_is_the_softmax(make_batch):
  batch = make_batch(2, 6, 5, 23)
  sampled, full = (
    SampledSoftmax(23)(*batch, Negatives.draw(KEY, 23, 23)),
    Softmax()(*batch),
  )
  np.testing.assert_allclose(sampled.total, full.total, rtol=1e-5)


def test_the_estimated_sum_is_unbiased(make_batch):
  """exp(loss of one question) = Σ / exp(s): its mean over draws is exact."""
  queries, vectors, bias, _ = make_batch(1, 1, 5, 23)
  targets = jnp.array([[3]])
  draws = 4000

  @jax.jit
  @jax.vmap
  def ratios(key):
    drawn = Negatives.draw(key, 23, 6)
    loss = SampledSoftmax(6)(queries, 0.5 * vectors, bias, targets, drawn)
    return jnp.exp(loss.total)

  found = ratios(jax.random.split(KEY, draws))
  exact = jnp.exp(Softmax()(queries, 0.5 * vectors, bias, targets).total)
  error = np.std(found) / draws**0.5
  assert 0 < error < 0.02 * exact
  np.testing.assert_allclose(np.mean(found), exact, atol=4 * error)


def test_beta_goes_from_plain_to_calibrated():
  """101 entries, 10 negatives: α = 0.1."""
  assert GBCE(10, 0.0).beta(101) == pytest.approx(1.0)
  assert GBCE(10, 1.0).beta(101) == pytest.approx(0.1)
  assert GBCE(10, 0.75).beta(101) == pytest.approx(0.1 * (0.75 * -9 + 10))
  assert GBCE(500, 0.75).beta(101) == 1.0
  assert GBCE(500, 0.75).beta(1) == 1.0


@pytest.mark.parametrize(
  "objective", OBJECTIVES, ids=lambda o: type(o).__name__
)
@pytest.mark.parametrize("C", [1, 11])
def test_nothing_to_answer_costs_nothing(objective, C, make_batch):
  """Also where the only entry of a catalogue is the target: finite."""
  queries, vectors, bias, _ = make_batch(2, 3, 4, C)

  @jax.jit
  def run(target):
    def total(*inputs):
      loss = objective(
        *inputs, jnp.full((2, 3), target), Negatives.draw(KEY, C, 4)
      )
      return loss.total, loss.weight

    grad = jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True)
    return grad(queries, vectors, bias)

  loss, grads = run(-1)
  assert loss == (0, 0)
  assert not any(np.any(grad) for grad in grads)
  loss, grads = run(0)
  assert loss[1] == 6
  assert all(np.all(np.isfinite(grad)) for grad in grads)
