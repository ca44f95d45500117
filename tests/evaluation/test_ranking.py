"""Ranks by counting, against sorting in Python."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tagrec_jax.decoding.tiles import rows_of
from tagrec_jax.evaluation import protocols, ranking

ALL = [protocols.STRICT, protocols.AS_S3REC, protocols.UNMASKED]


def ranks(scores, target, seen, protocol):
  return ranking.target_ranks(
    rows_of(np.asarray(scores)),
    jnp.asarray(target, jnp.int32)[:, None],
    jnp.asarray(seen, jnp.int32).reshape(len(target), -1),
    protocol,
  )[:, 0].tolist()


def slow_rank(row, target, seen, protocol):
  """Sorts the candidates and looks where the target stands."""
  row = [-np.inf if s != s else s for s in row]
  if protocol.name == "strict":
    row = [-np.inf if c in seen else s for c, s in enumerate(row)]
  elif protocol.name == "as_s3rec":
    row = [0.0 if c in seen else s for c, s in enumerate(row)]
  order = sorted(range(len(row)), key=lambda c: (-row[c], c))
  if target < 0 or row[target] == -np.inf:
    return len(row) + 1
  return order.index(target) + 1


@pytest.mark.parametrize(
  ("protocol", "expected"),
  [
    # Scores 9, -1, 5, -3; item 0 is seen, the target is item 3.
    (protocols.STRICT, 3),  # 5, -1 before it
    (protocols.AS_S3REC, 4),  # the seen item's 0 outranks -3 as well
    (protocols.UNMASKED, 4),
  ],
)
def test_hand_worked(protocol, expected):
  assert ranks([[9, -1, 5, -3]], [3], [[0, -1]], protocol) == [expected]


@pytest.mark.parametrize(
  ("protocol", "expected"),
  [
    (protocols.STRICT, 4),  # C + 1: it cannot be hit
    (protocols.AS_S3REC, 2),  # ranked with score 0
    (protocols.UNMASKED, 1),
  ],
)
def test_a_repeated_target(protocol, expected):
  assert ranks([[9, 5, -1]], [0], [[0]], protocol) == [expected]


@pytest.mark.parametrize("protocol", ALL)
def test_ties_go_to_the_smaller_index(protocol):
  equal = np.zeros((4, 4))
  equal[:, 1] = -0.0
  assert ranks(equal, [0, 1, 2, 3], [[-1]] * 4, protocol) == [1, 2, 3, 4]


@pytest.mark.parametrize("protocol", ALL)
def test_padding_does_not_touch_the_last_item(protocol):
  assert ranks([[1, 2, 3]], [2], [[-1, -1]], protocol) == [1]


@pytest.mark.parametrize("protocol", ALL)
@pytest.mark.parametrize("target", [-1, -2, 3, 100])
def test_a_target_outside_the_catalogue_is_a_miss(protocol, target):
  assert ranks([[1, 2, 3]], [target], [[-1]], protocol) == [4]


@pytest.mark.parametrize("protocol", ALL)
def test_nan_is_never_good(protocol):
  nan = float("nan")
  assert ranks([[nan] * 3], [0], [[-1]], protocol) == [4]
  # Others' NaN stand below; the target's own is a miss.
  scores = [[nan, -1, 5], [nan, -1, 5]]
  assert ranks(scores, [1, 0], [[-1], [-1]], protocol) == [2, 4]


@hypothesis.given(
  st.sampled_from(ALL),
  st.lists(
    st.sampled_from([-2.0, -1.0, -0.0, 0.0, 1.0, np.nan, -np.inf, np.inf]),
    min_size=5,
    max_size=5,
  ),
  st.integers(-1, 4),
  st.lists(st.integers(-1, 4), min_size=3, max_size=3),
)
def test_counting_equals_sorting(protocol, row, target, seen):
  expected = slow_rank(row, target, seen, protocol)
  assert ranks([row], [target], [seen], protocol) == [expected]


@pytest.mark.parametrize("protocol", ALL)
def test_rank_and_list_agree(protocol):
  """A target is in the list of k exactly if its rank is at most k."""
  random = np.random.default_rng(1)
  scores = random.integers(-3, 4, (64, 9)).astype(np.float32)
  scores[random.random(scores.shape) < 0.1] = np.nan
  target = random.integers(-1, 9, 64).astype(np.int32)
  seen = random.integers(-1, 9, (64, 3)).astype(np.int32)
  rank, lists = ranking.ranks_and_lists(
    rows_of(scores),
    jnp.asarray(target)[:, None],
    jnp.asarray(seen),
    protocol,
    4,
  )
  for r, row, t in zip(
    rank[:, 0].tolist(), lists.tolist(), target.tolist(), strict=True
  ):
    assert (r <= 4) == (t >= 0 and t in row)
    if r <= 4:
      assert row.index(t) == r - 1


def test_relevant_ranks():
  scores = jnp.array([[1.0, 4.0, 2.0, 4.0], [0.0, 0.0, 0.0, 0.0]])
  relevant = np.array([[3, 0, -1], [2, -1, -1]])
  got = ranking.relevant_ranks(rows_of(scores), relevant)
  assert got.tolist() == [[2, 4, 0], [3, 0, 0]]


def test_sorts_nothing():
  arguments = (
    rows_of(jnp.zeros((2, 5))),
    jnp.zeros((2, 1), jnp.int32),
    jnp.zeros((2, 1), jnp.int32),
    protocols.STRICT,
  )
  traced = str(
    jax.make_jaxpr(ranking.target_ranks, static_argnums=3)(*arguments)
  )
  assert "sort[" not in traced
  assert "top_k[" not in traced


def test_every_protocol_is_registered_and_tells_its_rules():
  for name in protocols.PROTOCOLS.names:
    passport = protocols.PROTOCOLS[name].passport()
    assert passport["protocol"] == name
    assert all(passport.values())
    assert {"candidates", "seen items", "ties", "dropped people"} < set(
      passport
    )
  assert protocols.PROTOCOLS.names == ["as_s3rec", "strict", "unmasked"]
