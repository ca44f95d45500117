"""Beams over sets against the sum over all orders."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.decoding.beam import beam_search

SIZE, LENGTH = 4, 3
END = SIZE


def found_by(table_XV, width, sets=True):
  """A model that knows which tokens are written, and not in which order."""
  table_XV = jnp.asarray(table_XV)

  def step(bits_BW, tokens_BW, place):
    bits_BW = jnp.where(place > 0, bits_BW | (1 << tokens_BW), 0)
    return table_XV[bits_BW], bits_BW

  def allowed(tokens_BWT):
    every = jnp.arange(SIZE)[None, None, None]
    free = (tokens_BWT[..., None] != every).all(2)
    return jnp.pad(free, ((0, 0), (0, 0), (0, 1)), constant_values=True)

  return jax.jit(
    lambda: beam_search(
      step,
      jnp.zeros((1, width), jnp.int32),
      rows=1,
      width=width,
      length=LENGTH,
      end=END,
      allowed=allowed,
      sets=sets,
    )
  )()


def probabilities(table_XV):
  """Set → the sum of the probabilities of all its orders, by recursion."""
  beginning = {(): 1.0}
  found = {}
  for count in range(LENGTH + 1):
    for tags in itertools.combinations(range(SIZE), count):
      if tags:
        beginning[tags] = sum(
          beginning[before] * _next(table_XV, before)[tag]
          for tag in tags
          for before in [tuple(t for t in tags if t != tag)]
        )
      ends = _next(table_XV, tags)[END] if count < LENGTH else 1.0
      found[tags] = beginning[tags] * ends
  return found


def _next(table_XV, tags):
  scores = table_XV[sum(1 << tag for tag in tags)].astype(np.float64)
  scores[list(tags)] = -np.inf
  return np.exp(scores) / np.exp(scores).sum()


def as_sets(found):
  return {
    tuple(sorted(t for t in tokens if t != UNKNOWN)): float(np.exp(score))
    for tokens, score in zip(
      found.tokens_BWT[0].tolist(), found.scores_BW[0], strict=True
    )
    if score > -np.inf
  }


@pytest.mark.parametrize("seed", range(4))
def test_wide_beams_know_the_probability_of_every_set(seed):
  table = np.random.default_rng(seed).normal(size=(2**SIZE, SIZE + 1))
  table = table.astype(np.float32)
  found, wanted = as_sets(found_by(table, 20)), probabilities(table)
  assert found.keys() == wanted.keys()
  for tags, probability in wanted.items():
    np.testing.assert_allclose(found[tags], probability, rtol=1e-4)
  np.testing.assert_allclose(sum(found.values()), 1, rtol=1e-4)


def test_a_set_of_many_orders_is_not_overlooked():
  """{0, 1, 2} in any order at .6 in all; token 3 alone at .4."""
  table = np.full((2**SIZE, SIZE + 1), -20.0, np.float32)
  table[0, :4] = np.log([0.2, 0.2, 0.2, 0.4])
  table[1 << 3, END] = 0
  for bits in range(1, 7):
    table[bits, :3] = 0
  ordered, merged = found_by(table, 6, sets=False), found_by(table, 6)
  assert ordered.tokens_BWT[0, 0].tolist() == [3, UNKNOWN, UNKNOWN]
  assert sorted(merged.tokens_BWT[0, 0].tolist()) == [0, 1, 2]
  np.testing.assert_allclose(np.exp(merged.scores_BW[0, 0]), 0.6, rtol=1e-3)


def test_no_set_comes_twice():
  table = np.random.default_rng(7).normal(size=(2**SIZE, SIZE + 1))
  found = found_by(table.astype(np.float32), 5)
  assert np.isfinite(found.scores_BW).all()
  assert len(as_sets(found)) == 5
