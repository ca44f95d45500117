"""Beam search against hand-made scores and against all sequences there are."""

from __future__ import annotations

import functools

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.decoding.beam import beam_search
from tagrec_jax.decoding.constraints import Constraints

PRIME = 101


def chain(table_XV, rows, width):
  """A model whose scores depend on all tokens so far, and its first state.

  What was written is one number: h' = (31 h + token + 1) mod 101.
  """

  def step(state, tokens_BW, place):
    now_BW = (31 * state["now"] + tokens_BW + 1) % PRIME
    now_BW = jnp.where(place == 0, state["row"], now_BW)
    return table_XV[now_BW], {**state, "now": now_BW}

  row_BW = jnp.broadcast_to(jnp.arange(rows)[:, None], (rows, width))
  return step, {"now": row_BW, "row": row_BW}


@functools.partial(
  jax.jit, static_argnames=("rows", "width", "length", "end", "power")
)
def search(table_XV, rows, width, length, end=None, power=0.0):
  step, state = chain(table_XV, rows, width)
  return beam_search(
    step,
    state,
    rows=rows,
    width=width,
    length=length,
    end=end,
    length_power=power,
  )


def every(table_XV, row, length, end=None, power=0.0, may=lambda _: None):
  """(score, tokens) of all sequences, in the order of the search."""
  size = table_XV.shape[1]
  found = []

  def grow(tokens, score, now):
    if len(tokens) == length:
      found.append((score / length**power, tokens))
      return
    scores = table_XV[now].astype(np.float64)
    allowed = may(tokens)
    if allowed is not None:
      scores = np.where(allowed, scores, -np.inf)
    log = scores - np.log(np.exp(scores).sum())
    for token in range(size):
      if log[token] == -np.inf:
        continue
      if token == end:
        total = (score + log[token]) / (len(tokens) + 1) ** power
        found.append((total, tokens))
      else:
        after = (31 * now + token + 1) % PRIME
        grow((*tokens, token), score + log[token], after)

  grow((), 0.0, row)
  if end is None:
    return sorted(found, key=lambda f: (-round(f[0], 5), f[1]))
  return sorted(
    found,
    key=lambda f: (-round(f[0], 5), len(f[1]) + (len(f[1]) < length), f[1]),
  )


def as_lists(found, row):
  """Sequences of a row without padding, and their scores."""
  tokens = [
    tuple(t for t in beam if t != UNKNOWN)
    for beam in found.tokens_BWT[row].tolist()
  ]
  scores = found.scores_BW[row].tolist()
  alive = [s > -np.inf for s in scores]
  assert all(not t for t, a in zip(tokens, alive, strict=True) if not a)
  return [(s, t) for s, t, a in zip(scores, tokens, alive, strict=True) if a]


def agree(found, wanted):
  """The same sequences; what is equal but for rounding, in any order."""
  scores = np.array([score for score, _ in wanted])
  np.testing.assert_allclose([s for s, _ in found], scores, atol=1e-4)
  group = np.cumsum(np.diff(scores, prepend=scores[:1]) < -1e-4).tolist()
  ordered = lambda those: sorted(
    zip(group, [tokens for _, tokens in those], strict=True)
  )
  assert ordered(found) == ordered(wanted)


def test_a_second_beam_finds_what_greedy_misses():
  """.6 · .55 by the best first token, .4 · .9 by the other."""
  table = np.log(np.array([[0.6, 0.4], [0.55, 0.45], [0.1, 0.9]], np.float32))

  def step(state, tokens_BW, place):
    del place
    return jnp.asarray(table)[tokens_BW + 1], state

  greedy, wide = (
    beam_search(step, (), rows=1, width=width, length=2) for width in (1, 2)
  )
  assert greedy.tokens_BWT.tolist() == [[[0, 0]]]
  np.testing.assert_allclose(np.exp(greedy.scores_BW), [[0.33]], rtol=1e-5)
  assert wide.tokens_BWT.tolist() == [[[1, 1], [0, 0]]]
  np.testing.assert_allclose(np.exp(wide.scores_BW), [[0.36, 0.33]], rtol=1e-5)


@pytest.mark.parametrize("end", [None, 3])
@hypothesis.settings(max_examples=10)
@hypothesis.given(
  seed=st.integers(0, 10_000), power=st.sampled_from([0.0, 0.7])
)
def test_a_beam_as_wide_as_the_catalogue_misses_nothing(end, seed, power):
  # Few different scores, so that there are many ties.
  random = np.random.default_rng(seed)
  table = random.integers(-2, 3, (PRIME, 4)).astype(np.float32)
  found = search(table, 2, 64, 3, end, power)
  for row in range(2):
    wanted = every(table, row, 3, end, power)[:64]
    agree(as_lists(found, row), wanted)
    if not power:
      total = np.exp(found.scores_BW[row]).sum()
      np.testing.assert_allclose(total, 1, rtol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_sets_obey_rules_and_repeat_nothing(seed):
  random = np.random.default_rng(seed)
  size, length = 5, 4
  table = random.normal(size=(PRIME, size + 1)).astype(np.float32)
  rules = Constraints(
    random.random(size) < 0.8, random.integers(-1, 2, size).astype(np.int32)
  )

  def may(tokens):
    allowed = [
      rules.allowed_C[v]
      and v not in tokens
      and all(
        rules.groups_C[v] < 0 or rules.groups_C[t] != rules.groups_C[v]
        for t in tokens
      )
      for v in range(size)
    ]
    return np.array([*allowed, True])

  def allowed(tokens_BWT):
    ends = ((0, 0), (0, 0), (0, 1))
    return jnp.pad(rules.after(tokens_BWT), ends, constant_values=True)

  step, state = chain(jnp.asarray(table), 1, 300)
  found = beam_search(
    step,
    state,
    rows=1,
    width=300,
    length=length,
    end=size,
    allowed=allowed,
  )
  agree(as_lists(found, 0), every(table, 0, length, size, may=may))


def same_for_all(width):
  """All of three tokens are as likely, whatever was written."""

  def step(state, tokens_BW, place):
    del tokens_BW, place
    return jnp.zeros((1, width, 3)), state

  return step


def test_equal_scores_go_to_smaller_tokens():
  found = beam_search(same_for_all(5), (), rows=1, width=5, length=2)
  assert found.tokens_BWT[0].tolist() == [
    *([0, 0], [0, 1], [0, 2], [1, 0], [1, 1])
  ]


def test_of_equal_scores_what_ended_earlier_comes_first():
  """Wherever nothing but the end may follow, going on costs nothing."""
  only = [[True, False, True], [True, False, False], [False, False, True]]

  def allowed(tokens_BWT):
    written_BW = (tokens_BWT >= 0).sum(2)
    return jnp.array(only)[jnp.minimum(written_BW, 2)]

  found = beam_search(
    same_for_all(4), (), rows=1, width=4, length=3, end=2, allowed=allowed
  )
  assert [t for _, t in as_lists(found, 0)] == [(), (0, 0)]
  np.testing.assert_allclose(np.exp(found.scores_BW[0, :2]), 0.5, rtol=1e-6)


def test_it_is_compiled_once():
  search.clear_cache()
  random = np.random.default_rng(0)
  for _ in range(3):
    table = random.normal(size=(PRIME, 4)).astype(np.float32)
    search(table, 2, 4, 3, 3)
  assert search._cache_size() == 1


def test_a_row_does_not_depend_on_its_neighbours():
  """One row ends at once, the other goes on: the loop runs for both."""
  table = np.random.default_rng(0).normal(size=(PRIME, 4)).astype(np.float32)
  table[0, 3] = 50.0
  both, alone = search(table, 2, 2, 6, 3), search(table, 1, 2, 6, 3)
  agree(as_lists(both, 0), as_lists(alone, 0))
  agree(as_lists(both, 0)[:1], every(table, 0, 6, 3)[:1])


def test_the_loop_ends_when_nothing_can_get_better():
  places = []

  def step(state, tokens_BW, place):
    jax.debug.callback(lambda p: places.append(int(p)), place)
    logits_BWV = jnp.tile(jnp.array([[[0.0, 9.0]]]), (1, 2, 1))
    return logits_BWV, state

  found = beam_search(step, (), rows=1, width=2, length=50, end=1)
  jax.effects_barrier()
  assert as_lists(found, 0)[0][1] == ()
  assert len(places) <= 3


def test_where_nothing_may_follow_there_is_no_sequence():
  found = beam_search(
    same_for_all(2),
    (),
    rows=1,
    width=2,
    length=2,
    allowed=lambda _: jnp.zeros((1, 2, 3), bool),
  )
  assert np.isneginf(found.scores_BW).all()
  assert (found.tokens_BWT == UNKNOWN).all()


def test_a_longer_sequence_wins_by_its_mean():
  """End at once: log .5; or go on twice, each at .6 after the first .5."""
  table = np.log(np.array([[0.5, 0.5], [0.9, 0.1]], np.float32))

  def step(state, tokens_BW, place):
    del tokens_BW
    row_V = jnp.asarray(table)[jnp.minimum(place, 1)]
    return jnp.broadcast_to(row_V[None, None], (1, 2, 2)), state

  best = lambda power: as_lists(
    beam_search(step, (), rows=1, width=2, length=3, end=1, length_power=power),
    0,
  )[0][1]
  assert best(0.0) == ()
  assert best(1.0) == (0, 0, 0)


def test_state_follows_its_beam():
  table = np.random.default_rng(3).normal(size=(PRIME, 4)).astype(np.float32)
  found = search(table, 3, 4, 5)
  for row in range(3):
    scores = {t: s for s, t in every(table, row, 5)}
    for score, tokens in as_lists(found, row):
      np.testing.assert_allclose(score, scores[tokens], atol=1e-4)
