"""Each metric against a hand-worked table and a slow definition."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.evaluation import metrics

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
  ideal = [1 / math.log2(place + 2) for place in range(min(k, len(relevant)))]
  return {
    "precision": sum(hits) / k,
    "recall": sum(hits) / len(relevant),
    "ndcg": sum(gains) / sum(ideal),
    "f1": 2 * sum(hits) / (k + len(relevant)),
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
  known = {
    **metrics.RANK_METRICS,
    **metrics.LIST_METRICS,
    **metrics.GAIN_METRICS,
  }
  assert set(metrics.ITEM_METRICS + metrics.TAG_METRICS) <= set(known)


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
