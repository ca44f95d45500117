"""The best K: order, ties, masks, and the same from tiles."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tagrec_jax.decoding import topk

NONE_SEEN = jnp.zeros((1, 0), jnp.int32)


def slow_top_k(scores, k, seen):
  """Python lists: the best k of the allowed, ties by smaller index."""
  ids, values = [], []
  for row, gone in zip(scores.tolist(), seen.tolist(), strict=True):
    allowed = [
      c for c, s in enumerate(row) if c not in gone and s == s and s > -np.inf
    ]
    best = sorted(allowed, key=lambda c: (-row[c], c))[:k]
    blanks = k - len(best)
    ids.append(best + [-1] * blanks)
    values.append([row[c] for c in best] + [-np.inf] * blanks)
  return np.array(ids), np.array(values, np.float32)


def test_hand_worked():
  scores = jnp.array([[1.0, 5.0, 3.0, 5.0, 4.0]])
  ids, values = topk.top_k(scores, 3, jnp.array([[4, -1]]))
  assert ids.tolist() == [[1, 3, 2]]
  assert values.tolist() == [[5.0, 5.0, 3.0]]


def test_padding_of_seen_leaves_the_last_item():
  scores = jnp.array([[0.0, 1.0, 2.0]])
  ids, _ = topk.top_k(scores, 1, jnp.array([[-1, -1]]))
  assert ids.tolist() == [[2]]


def test_longer_than_what_is_allowed():
  scores = jnp.array([[1.0, jnp.nan, 2.0, -jnp.inf]])
  ids, values = topk.top_k(scores, 6, jnp.array([[0]]))
  assert ids.tolist() == [[2, -1, -1, -1, -1, -1]]
  assert values.tolist() == [[2.0, *[-np.inf] * 5]]


def test_zeros_of_both_signs_are_a_tie():
  scores = jnp.array([[-0.0, 0.0, -0.0, 0.0]])
  ids, _ = topk.top_k(scores, 4, NONE_SEEN)
  assert ids.tolist() == [[0, 1, 2, 3]]


def test_ties_of_a_large_catalogue_are_stable():
  random = np.random.default_rng(0)
  scores = random.integers(0, 4, (8, 5000)).astype(np.float32)
  seen = random.integers(-1, 5000, (8, 30)).astype(np.int32)
  ids, values = topk.top_k(jnp.asarray(scores), 50, jnp.asarray(seen))
  slow_ids, slow_values = slow_top_k(scores, 50, seen)
  np.testing.assert_array_equal(ids, slow_ids)
  np.testing.assert_array_equal(values, slow_values)


@hypothesis.given(
  items=st.sampled_from([127, 256, 257, 1000, 4097]),
  k=st.integers(1, 4),
  common=st.sampled_from([1, 0.8, 0.3, 0.01]),
  gone=st.sampled_from([0, 1, 300]),
  seed=st.integers(0, 100),
)
def test_blocks_equal_the_slow_way(items, k, common, gone, seed):
  """Few large values and many equal ones, NaN and -inf between them."""
  random = np.random.default_rng(seed)
  scores = random.geometric(common, (3, items)).astype(np.float32)
  favoured = random.integers(0, items)
  scores[:, favoured : favoured + 40] += 1000  # neighbours compete
  holes = random.random(scores.shape)
  scores[holes < 0.2] = np.nan
  scores[holes > 0.8] = -np.inf
  seen = random.integers(-1, items, (3, gone), np.int32)
  ids, found = topk.top_k(jnp.asarray(scores), k, jnp.asarray(seen))
  slow_ids, slow_values = slow_top_k(scores, k, seen)
  np.testing.assert_array_equal(ids, slow_ids)
  np.testing.assert_array_equal(found, slow_values)


def test_blocks_of_blocks():
  random = np.random.default_rng(0)
  scores = random.integers(0, 500, (2, 300_000)).astype(np.float32)
  scores[1] = 7  # nothing but ties
  ids, _ = topk.top_k(jnp.asarray(scores), 9, jnp.zeros((2, 0), jnp.int32))
  order = np.argsort(-scores, axis=1, kind="stable")
  np.testing.assert_array_equal(ids, order[:, :9])


def test_nothing_allowed_in_a_large_catalogue():
  scores = jnp.full((1, 5000), jnp.nan).at[0, 4999].set(-1.0)
  ids, values = topk.top_k(scores, 3, NONE_SEEN)
  assert ids.tolist() == [[4999, -1, -1]]
  assert values.tolist() == [[-1.0, -np.inf, -np.inf]]


@pytest.mark.parametrize(
  ("items", "k", "seen", "tile"),
  [
    (1, 1, 1, 64),
    (1, 3, 0, 64),
    (13, 13, 3, 64),
    (13, 15, 6, 1024),
    (128, 5, 3, 64),  # tiles without a remainder
    (150, 5, 0, 64),  # more members than blocks
    (150, 200, 9, 64),  # more members than products
    (700, 2, 9, 128),
    (700, 3, 300, 64),
    (3000, 2, 3, 192),
  ],
)
def test_tiles_and_whole_equal_the_slow_way(items, k, seen, tile):
  """Small whole numbers, so that products are exact and ties are many."""
  random = np.random.default_rng(0)
  query = random.integers(-2, 3, (20, 2)).astype(np.float32)
  vectors = random.integers(-2, 3, (items, 2)).astype(np.float32)
  bias = random.choice([-np.inf, np.nan, 0, 0, 1], items).astype(np.float32)
  gone = random.integers(-1, items, (20, seen), np.int32)
  scores = query @ vectors.T + bias
  slow_ids, slow_values = slow_top_k(scores, k, gone)
  gone = jnp.asarray(gone)
  arrays = (jnp.asarray(query), jnp.asarray(vectors), jnp.asarray(bias))
  for ids, values in (
    topk.top_k(jnp.asarray(scores), k, gone),
    topk.top_k_tiled(*arrays, k, gone, tile),
  ):
    np.testing.assert_array_equal(ids, slow_ids)
    np.testing.assert_array_equal(values, slow_values)


def test_tiles_never_hold_all_scores():
  rows, items, tile, width = 4, 1000, 128, 2
  jaxpr = jax.make_jaxpr(topk.top_k_tiled, static_argnums=(3, 5))(
    jnp.zeros((rows, width)),
    jnp.zeros((items, width)),
    jnp.zeros(items),
    10,
    jnp.zeros((rows, 3), jnp.int32),
    tile,
  )
  # The text names shapes so.
  assert f"[{rows},{items}]" not in str(jaxpr)
  assert f"[{rows},{tile}]" in str(jaxpr)


def test_large_catalogues_are_not_handed_to_a_full_top_k():
  def text(items):
    scores = jnp.zeros((2, items))
    return str(jax.make_jaxpr(topk.largest, static_argnums=1)(scores, 10))

  assert "reduce_window" not in text(1000)
  assert "reduce_window" in text(12_000)


@pytest.mark.parametrize("k", [1, 7])
def test_every_list_is_sorted_and_without_repeats(k):
  scores = jax.random.normal(jax.random.key(0), (5, 40))
  ids, values = topk.top_k(scores, k, jnp.full((5, 2), -1, jnp.int32))
  assert (np.diff(values, axis=1) <= 0).all()
  assert all(len(set(row)) == k for row in ids.tolist())
