"""The loss of codes against loops."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.objectives.written import code_loss


def oracle(logits, may, codes):
  total = count = 0
  for place in np.ndindex(codes.shape[:2]):
    if (codes[place] < 0).any():
      continue
    count += 1
    for level, code in enumerate(codes[place]):
      scores = np.exp(logits[place][level].astype(np.float64))
      total -= np.log(scores[code] / scores[may[place][level]].sum())
  return total, count


def made():
  random = np.random.default_rng(0)
  logits = random.normal(size=(2, 3, 2, 5)).astype(np.float32)
  codes = random.integers(0, 5, (2, 3, 2)).astype(np.int32)
  may = random.random((2, 3, 2, 5)) < 0.5
  np.put_along_axis(may, codes[..., None], True, axis=3)
  codes[1, 1:] = UNKNOWN
  may[1, 1:] = False
  return logits, may, codes


def test_it_equals_loops():
  logits, may, codes = made()
  total, count = oracle(logits, may, codes)
  found = code_loss(*map(jnp.asarray, (logits, may, codes)))
  np.testing.assert_allclose(found.total, total, rtol=1e-5)
  assert found.weight == count == 4


def test_what_may_not_follow_and_what_is_not_asked_learn_nothing():
  logits, may, codes = map(jnp.asarray, made())
  gradient = jax.grad(lambda x: code_loss(x, may, codes).total)(logits)
  assert (gradient[1, 1:] == 0).all()
  assert (np.asarray(gradient)[~np.asarray(may)] == 0).all()
  assert (np.asarray(gradient)[np.asarray(may)] != 0).any()
  np.testing.assert_allclose(gradient.sum(-1), 0, atol=1e-6)
