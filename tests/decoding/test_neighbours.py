"""Votes of products that are alike, against a slow loop."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
import pytest

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.decoding.neighbours import Neighbours, asked_too


def slow_votes(query_D, vectors_ND, tags_NM, size, count, temperature):
  cosines = [
    (query_D @ v / (np.linalg.norm(query_D) * np.linalg.norm(v)), -row)
    for row, v in enumerate(vectors_ND)
    if (tags_NM[row] >= 0).any()
  ]
  votes = np.zeros(size)
  for cosine, row in sorted(cosines, reverse=True)[:count]:
    for tag in tags_NM[-row]:
      if 0 <= tag < size:
        votes[tag] += math.exp(cosine / temperature)
  return votes / votes.sum() if votes.sum() else votes


@pytest.mark.parametrize("count", [1, 3, 50])
def test_votes_equal_a_slow_loop(count):
  random = np.random.default_rng(count)
  vectors_ND, query_BD = random.normal(size=(9, 4)), random.normal(size=(5, 4))
  # Some have no tags; the last tag is one that no score stands for.
  tags_NM = np.where(random.random((9, 3)) < 0.5, np.arange(3)[None] * 2, -1)
  tags_NM = np.where(tags_NM == 4, 7, tags_NM)
  found_BC = Neighbours.of(
    jnp.asarray(vectors_ND, jnp.float32),
    jnp.asarray(tags_NM),
    size=7,
    count=count,
    temperature=0.2,
  ).votes(jnp.asarray(query_BD, jnp.float32))
  for query_D, found_C in zip(query_BD, found_BC, strict=True):
    np.testing.assert_allclose(
      found_C,
      slow_votes(query_D, vectors_ND, tags_NM, 7, count, 0.2),
      rtol=1e-4,
      atol=1e-6,
    )


def test_where_nobody_has_a_tag_nobody_votes():
  found_BC = Neighbours.of(
    jnp.ones((3, 2)),
    jnp.full((3, 1), UNKNOWN),
    size=4,
    count=2,
    temperature=0.1,
  ).votes(jnp.ones((2, 2)))
  np.testing.assert_array_equal(found_BC, np.zeros((2, 4)))


def test_both_are_asked():
  scores_BC = jnp.log(jnp.asarray([[0.1, 0.2, 0.7]]))
  votes_BC = jnp.asarray([[0.0, 1.0, 0.0]])
  alone_BC = asked_too(scores_BC, votes_BC, 0.0)
  np.testing.assert_allclose(alone_BC, scores_BC, rtol=1e-6)
  wanted = 0.25 * np.log([0.1, 0.2, 0.7]) + 0.75 * np.log([1e-3, 1.001, 1e-3])
  np.testing.assert_allclose(
    asked_too(scores_BC, votes_BC, 0.75)[0], wanted, rtol=1e-5
  )
