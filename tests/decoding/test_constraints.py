"""Lists that obey rules, against all lists that do."""

from __future__ import annotations

import itertools

import hypothesis
import hypothesis.strategies as st
import jax.numpy as jnp
import numpy as np
import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.decoding.constraints import Constraints, constrained_top_k

NAMES = ("role::program", "role::plugin", "game", "use::play", "use::edit")
NONE = jnp.zeros((1, 0), jnp.int32)


def best_of_all(scores, k, seen, constraints):
  """Tries every list: highest scores place by place, ties by index."""
  candidates = [
    i
    for i, score in enumerate(scores)
    if constraints.allowed_C[i] and i not in seen and score > -np.inf
  ]

  def obeys(ids):
    groups = [g for g in constraints.groups_C[list(ids)] if g >= 0]
    return len(set(groups)) == len(groups)

  lists = [
    ids
    for length in range(k + 1)
    for ids in itertools.permutations(candidates, length)
    if obeys(ids)
  ]
  missing = (-np.inf, 0)
  best = max(
    lists,
    key=lambda ids: [(scores[i], -i) for i in ids] + [missing] * (k - len(ids)),
  )
  return list(best) + [-1] * (k - len(best))


@hypothesis.settings(max_examples=40)
@hypothesis.given(seed=st.integers(0, 10_000))
def test_no_list_that_obeys_is_better(seed):
  random = np.random.default_rng(seed)
  scores = random.integers(0, 4, 6).astype(np.float32)
  scores[random.random(6) < 0.1] = -np.inf
  constraints = Constraints(
    random.random(6) < 0.8, random.integers(-1, 3, 6).astype(np.int32)
  )
  seen = random.integers(-1, 6, 2).astype(np.int32)
  ids, best = constrained_top_k(
    jnp.asarray(scores[None]), 3, jnp.asarray(seen[None]), constraints
  )
  assert ids[0].tolist() == best_of_all(scores, 3, seen, constraints)
  expected = [scores[i] if i >= 0 else -np.inf for i in ids[0].tolist()]
  assert best[0].tolist() == expected


def test_names_and_patterns():
  constraints = Constraints.of(
    NAMES, allowed=("role::*", "use::*"), exclusive=("role::*", "use::*")
  )
  assert constraints.allowed_C.tolist() == [True, True, False, True, True]
  assert constraints.groups_C.tolist() == [0, 0, -1, 1, 1]
  ids, _ = constrained_top_k(
    jnp.array([[5.0, 6.0, 9.0, 1.0, 0.0]]), 4, NONE, constraints
  )
  assert ids.tolist() == [[1, 3, -1, -1]]


def test_without_rules_nothing_changes():
  scores = jnp.array([[5.0, 6.0, 9.0, 1.0, jnp.nan]])
  ids, _ = constrained_top_k(scores, 5, NONE, Constraints.of(NAMES))
  assert ids.tolist() == [[2, 1, 0, 3, -1]]


def test_the_first_pattern_has_an_entry():
  constraints = Constraints.of(NAMES, exclusive=("role::plugin", "role::*"))
  assert constraints.groups_C.tolist() == [1, 0, -1, -1, -1]


def test_what_was_seen_keeps_nothing_away():
  constraints = Constraints.of(NAMES, exclusive=("role::*",))
  ids, _ = constrained_top_k(
    jnp.array([[5.0, 6.0, 1.0, 0.0, 0.0]]),
    2,
    jnp.array([[1]], jnp.int32),
    constraints,
  )
  assert ids.tolist() == [[0, 2]]


def test_a_pattern_without_tags():
  with pytest.raises(UserError, match="'rol::\\*', which no tag fits"):
    Constraints.of(NAMES, exclusive=("rol::*",))
