"""How many tags: against trying every cut."""

from __future__ import annotations

import json

import hypothesis
import hypothesis.strategies as st
import jax.numpy as jnp
import numpy as np
import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.evaluation import calibrate as calibration
from tagrec_jax.evaluation.calibrate import Calibration, calibrate


def micro_f1(chosen, relevant):
  right = np.zeros(chosen.shape, bool)
  for row, ids in enumerate(relevant):
    right[row, [i for i in ids if 0 <= i < chosen.shape[1]]] = True
  total = chosen.sum() + (relevant >= 0).sum()
  return 2 * (chosen & right).sum() / total


def every_cut(scores, relevant):
  """The best micro-F1 of all thresholds and of all counts."""
  found = []
  lse = np.log(np.exp(scores).sum(axis=1, keepdims=True))
  for values in (scores, scores - lse):
    found += [micro_f1(values >= t - 1e-9, relevant) for t in values.ravel()]
  order = np.argsort(-scores, axis=1, kind="stable").argsort(axis=1)
  found += [micro_f1(order < k, relevant) for k in range(1, len(scores[0]) + 1)]
  return max(found)


@hypothesis.settings(max_examples=25)
@hypothesis.given(
  seed=st.integers(0, 10_000),
  people=st.integers(1, 6),
  tags=st.integers(1, 7),
  levels=st.sampled_from([2, 5, 1000]),
)
def test_no_cut_is_better(seed, people, tags, levels):
  random = np.random.default_rng(seed)
  scores = random.integers(-levels, levels, (people, tags)) / levels * 4
  relevant = random.random((people, tags)).argsort(axis=1).astype(np.int32)
  relevant[random.random(relevant.shape) < 0.5] = -1
  relevant[0, 0] = 0
  relevant[0, 1:] = -1
  found = calibrate(scores, relevant)
  assert found.micro_f1 == pytest.approx(every_cut(scores, relevant), abs=1e-6)
  chosen = np.asarray(found.chosen(jnp.asarray(scores, jnp.float32)))
  assert micro_f1(chosen, relevant) == pytest.approx(found.micro_f1)


def test_hand_worked():
  """Between 2 and 1: two chosen, both right, of four that are right."""
  scores = np.array([[5.0, 1.0, 0.0], [2.0, 0.5, -1.0]])
  relevant = np.array([[0, 7], [0, -1]], np.int32)
  found = calibrate(scores, relevant)
  assert (found.rule, found.threshold) == ("score", 1.5)
  assert found.micro_f1 == pytest.approx(2 * 2 / (2 + 3))


@pytest.mark.parametrize("rule", calibration.RULES)
def test_what_is_never_recommended_is_never_chosen(rule):
  scores = jnp.array([[1.0, jnp.nan, -jnp.inf]])
  chosen = Calibration(rule, 3.0 if rule == "count" else -9.0, 1.0).chosen
  assert chosen(scores).tolist() == [[True, False, False]]


@pytest.mark.parametrize(
  ("rule", "threshold"), [("score", 0.9), ("share", -1.2), ("count", 2.0)]
)
def test_a_set_is_the_beginning_of_the_list(rule, threshold):
  scores = np.random.default_rng(0).normal(size=(40, 9))
  chosen = Calibration(rule, threshold, 0.0).chosen(jnp.asarray(scores))
  order = np.argsort(-scores, axis=1)
  sorted_chosen = np.take_along_axis(np.asarray(chosen), order, axis=1)
  assert (np.diff(sorted_chosen.astype(int), axis=1) <= 0).all()
  assert chosen.any()


def test_json():
  first = Calibration("share", -1.25, 0.5)
  told = json.loads(json.dumps(first.to_dict()))
  assert Calibration.from_dict(told) == first
  with pytest.raises(UserError, match="one of score, share, count"):
    Calibration.from_dict(told | {"rule": "guess"})


def test_nothing_to_calibrate_with():
  with pytest.raises(UserError, match="no product with a tag"):
    calibrate(np.zeros((1, 2)), np.array([[-1, 2]], np.int32))
