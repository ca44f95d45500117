"""Each metric against a hand-worked table and a slow definition."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import sparse

from tagrec_jax.core.errors import UserError
from tagrec_jax.evaluation import entries, metrics
from tagrec_jax.evaluation.entries import Entries

ONE_TARGET = np.array([[1], [2], [3], [11]])
# Three relevant; two of which one is far; none.
SEVERAL = np.array([[1, 3, 9], [2, 50, 0], [0, 0, 0]])


@pytest.mark.parametrize(
  ("name", "ranks", "expected"),
  [
    ("recall@1", ONE_TARGET, [1, 0, 0, 0]),
    ("recall@2", ONE_TARGET, [1, 1, 0, 0]),
    ("recall@10", ONE_TARGET, [1, 1, 1, 0]),
    ("mrr@10", ONE_TARGET, [1, 1 / 2, 1 / 3, 0]),
    ("mrr@2", ONE_TARGET, [1, 1 / 2, 0, 0]),
    ("ndcg@10", ONE_TARGET, [1, 1 / math.log2(3), 1 / 2, 0]),
    ("precision@2", ONE_TARGET, [1 / 2, 1 / 2, 0, 0]),
    ("precision@5", SEVERAL, [2 / 5, 1 / 5, 0]),
    ("recall@5", SEVERAL, [2 / 3, 1 / 2, 0]),
    ("mrr@5", SEVERAL, [1, 1 / 2, 0]),
    # Perfect lists gain 1 + 1/log2(3) + 1/2 and 1 + 1/log2(3).
    (
      "ndcg@5",
      SEVERAL,
      [
        (1 + 1 / 2) / (1 + 1 / math.log2(3) + 1 / 2),
        (1 / math.log2(3)) / (1 + 1 / math.log2(3)),
        0,
      ],
    ),
    ("map@10", ONE_TARGET, [1, 1 / 2, 1 / 3, 0]),
    # Precision up to the hits at 1 and 3, and to the one at 2.
    ("map@5", SEVERAL, [(1 + 2 / 3) / 3, 1 / 2 / 2, 0]),
    # A list of two that is right twice has it all, though three are right.
    ("map@2", np.array([[2, 1, 7]]), [1]),
    # A list of two cannot hold three: its perfect gain is that of two.
    ("ndcg@2", SEVERAL[:1], [1 / (1 + 1 / math.log2(3))]),
  ],
)
def test_hand_worked(name, ranks, expected):
  np.testing.assert_allclose(metrics.per_person(name, ranks), expected)


def slow_metric(name, relevant, ranked, k):
  """From a ranked list, as textbooks define them."""
  hits = [item in relevant for item in ranked[:k]]
  gains = [hit / math.log2(place + 2) for place, hit in enumerate(hits)]
  most = min(k, len(relevant))
  ideal = [1 / math.log2(place + 2) for place in range(most)]
  precisions = [
    sum(hits[: place + 1]) / (place + 1)
    for place, hit in enumerate(hits)
    if hit
  ]
  return {
    "precision": sum(hits) / k,
    "recall": sum(hits) / len(relevant),
    "ndcg": sum(gains) / sum(ideal),
    "f1": 2 * sum(hits) / (k + len(relevant)),
    "map": sum(precisions) / most,
    "mrr": 1 / (hits.index(True) + 1) if any(hits) else 0,
  }[name]


@pytest.mark.parametrize("name", metrics.RANK_METRICS)
@pytest.mark.parametrize("k", [1, 3, 10, 30])
def test_equals_the_slow_definition(name, k):
  random = np.random.default_rng(0)
  for _ in range(20):
    ranked = random.permutation(20).tolist()
    relevant = random.permutation(20)[: random.integers(1, 8)].tolist()
    ranks = np.zeros((1, 9), np.int32)
    ranks[0, : len(relevant)] = [ranked.index(r) + 1 for r in relevant]
    np.testing.assert_allclose(
      metrics.per_person(f"{name}@{k}", ranks),
      [slow_metric(name, relevant, ranked, k)],
    )


def test_coverage_counts_each_item_once_and_no_padding():
  lists = np.array([[0, 1, 2], [1, 0, -1]])
  assert metrics.coverage(lists, 1, 4) == 2 / 4
  assert metrics.coverage(lists, 3, 4) == 3 / 4


def test_every_reported_metric_exists():
  reported = (metrics.ITEM_METRICS, metrics.TAG_METRICS, metrics.POST_METRICS)
  assert {name for names in reported for name in names} <= metrics.KNOWN


def test_f1_of_means_is_not_the_mean_of_f1():
  combine = metrics.MEAN_METRICS["f1_of_means"].combine
  # Precision 1/2 and recall 1/4 have the harmonic mean 1/3.
  np.testing.assert_allclose(
    combine(np.array([[0.5, 0.25], [0, 0], [1, 0]])), [1 / 3, 0, 0]
  )


# Entry 3 came after training. Entries 0 and 1 have the profiles (1, 0) and
# (1, 1), entry 2 has (0, 2), entry 3 none.
ENTRIES = Entries(
  np.array([4, 2, 1, 0]),
  sparse.csr_array(np.array([[1, 0], [1, 1], [0, 2], [0, 0]])),
)
LISTS = np.array([[0, 1, 2], [2, 3, -1], [-1, -1, -1]])


def test_novelty_is_the_mean_information():
  bits = np.log2([7 / 4, 7 / 2, 7, 7])  # never met counts as met once
  np.testing.assert_allclose(
    metrics.novelty(LISTS, 2, ENTRIES),
    [(bits[0] + bits[1]) / 2, (bits[2] + bits[3]) / 2, 0],
  )
  np.testing.assert_allclose(
    metrics.novelty(LISTS, 3, ENTRIES),
    [bits[:3].mean(), (bits[2] + bits[3]) / 2, 0],
  )


def test_diversity_is_the_mean_distance_of_pairs():
  half = 1 / math.sqrt(2)  # cosine of 0 and 1, and of 1 and 2
  np.testing.assert_allclose(
    metrics.diversity(LISTS, 2, ENTRIES), [1 - half, 1, 0], atol=1e-12
  )
  np.testing.assert_allclose(
    metrics.diversity(LISTS, 3, ENTRIES),
    [1 - 2 * half / 3, 1, 0],
    atol=1e-12,
  )
  assert metrics.diversity(LISTS, 1, ENTRIES).tolist() == [0, 0, 0]


def test_diversity_equals_the_slow_definition(monkeypatch):
  monkeypatch.setattr(entries, "_LISTS_AT_ONCE", 7)
  random = np.random.default_rng(0)
  profiles = random.integers(0, 3, (12, 5)) * (random.random((12, 1)) < 0.8)
  lists = np.stack([random.permutation(12)[:4] for _ in range(20)])
  lists[random.random(20) < 0.3, -1] = -1
  got = metrics.diversity(
    lists, 4, Entries(np.ones(12, int), sparse.csr_array(profiles))
  )
  for row, value in zip(lists, got, strict=True):
    pairs = itertools.combinations(row[row >= 0], 2)
    cosines = []
    for a, b in pairs:
      length = np.linalg.norm(profiles[a]) * np.linalg.norm(profiles[b])
      cosines.append(profiles[a] @ profiles[b] / length if length else 0)
    assert value == pytest.approx(1 - np.mean(cosines))


@pytest.mark.parametrize(
  ("name", "told"),
  [
    ("ndgc@10", "Fix: use 'ndcg'"),
    ("ndcg", "Fix: use 'ndcg@10'"),
    ("recall@0", "a cutoff of at least 1"),
    ("recall@-5", "a cutoff of at least 1"),
    ("recall@²", "a cutoff of at least 1"),
  ],
)
def test_wrong_names_are_told(name, told):
  with pytest.raises(UserError, match=r"^config\.train\.watch: ") as error:
    metrics.parse(name, "config.train.watch")
  assert told in str(error.value)
  assert "\n" not in str(error.value)
