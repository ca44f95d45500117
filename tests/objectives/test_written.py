"""The loss of codes against loops."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.objectives.written import code_loss, set_loss


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


def made_set():
  random = np.random.default_rng(3)
  logits = random.normal(size=(3, 4, 7)).astype(np.float32)
  tags = np.array(
    [[4, 0, 2, -1, -1], [5, 1, 0, 3, 2], [-1, -1, -1, -1, -1]], np.int32
  )
  return logits, tags


def set_oracle(logits, tags):
  """A row of two tags counts three places, the last of them the end."""
  total = count = 0
  for row_TV, row_M in zip(logits.astype(np.float64), tags, strict=True):
    own = [tag for tag in row_M if tag >= 0]
    for place in range(len(row_TV)):
      if not own or place > len(own):
        continue
      written, left = own[:place], own[place:] or [len(row_TV[0]) - 1]
      scores = np.exp(row_TV[place])
      scores[written] = 0
      shares = scores / scores.sum()
      total -= np.mean([np.log(shares[tag]) for tag in left])
      count += 1
  return total, count


def test_the_loss_of_sets_equals_loops():
  logits, tags = made_set()
  total, count = set_oracle(logits, tags)
  found = set_loss(jnp.asarray(logits), jnp.asarray(tags))
  np.testing.assert_allclose(found.total, total, rtol=1e-5)
  assert found.weight == count == 4 + 4


def test_the_order_of_what_is_not_yet_written_does_not_matter():
  logits, tags = map(jnp.asarray, made_set())
  first = logits.at[:, 1:].set(0.0)  # only the first place tells anything
  one = set_loss(first, tags).total
  other = set_loss(first, tags[:, jnp.array([2, 0, 1, 3, 4])]).total
  np.testing.assert_allclose(one, other, rtol=1e-6)


def test_what_is_written_and_rows_without_tags_learn_nothing():
  logits, tags = map(jnp.asarray, made_set())
  gradient = np.asarray(jax.grad(lambda x: set_loss(x, tags).total)(logits))
  assert (gradient[2] == 0).all()
  assert (gradient[0, 1:, 4] == 0).all()  # written first
  assert (gradient[0, 3, [0, 2, 4]] == 0).all()
  assert (gradient[1, :, 6] > 0).all()  # the end is wrong everywhere
  assert gradient[0, 3, 6] < 0  # and right after the last
