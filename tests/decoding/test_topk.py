"""The best K: order, ties, masks, and the same from tiles."""

from __future__ import annotations

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


@pytest.mark.parametrize(
  ("items", "k", "seen", "tile"),
  [
    (1, 1, 1, 1),
    (1, 3, 0, 8),
    (13, 1, 3, 4),
    (13, 5, 0, 4),
    (13, 13, 3, 5),
    (13, 15, 6, 1),
    (12, 5, 3, 4),  # tiles without a remainder
    (13, 5, 3, 12),  # a last tile that shows almost everything again
    (13, 5, 3, 13),
    (13, 5, 3, 4096),
  ],
)
def test_tiles_and_whole_equal_the_slow_way(items, k, seen, tile):
  """Small whole numbers, so that products are exact and ties are many."""
  random = np.random.default_rng(0)
  query = random.integers(-2, 3, (200, 2)).astype(np.float32)
  vectors = random.integers(-2, 3, (items, 2)).astype(np.float32)
  bias = random.choice([-np.inf, np.nan, 0, 0, 1], items).astype(np.float32)
  gone = random.integers(-1, items, (200, seen), np.int32)
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
  rows, items, width = 4, 1000, 2
  jaxpr = jax.make_jaxpr(topk.top_k_tiled, static_argnums=(3, 5))(
    jnp.zeros((rows, width)),
    jnp.zeros((items, width)),
    jnp.zeros(items),
    10,
    jnp.zeros((rows, 3), jnp.int32),
    100,
  )
  assert f"[{rows},{items}]" not in str(jaxpr)
  assert f"[{rows},110]" in str(jaxpr)  # K + tile: the text names shapes so


@pytest.mark.parametrize("k", [1, 7])
def test_every_list_is_sorted_and_without_repeats(k):
  scores = jax.random.normal(jax.random.key(0), (5, 40))
  ids, values = topk.top_k(scores, k, jnp.full((5, 2), -1, jnp.int32))
  assert (np.diff(values, axis=1) <= 0).all()
  assert all(len(set(row)) == k for row in ids.tolist())
