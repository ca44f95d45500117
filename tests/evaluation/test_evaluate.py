"""The whole pass: numbers, counts, passport; no dependence on batch size."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from tagrec_jax.core.errors import StorageError, UserError
from tagrec_jax.data.tag_counts import TagCounts
from tagrec_jax.evaluation import evaluate as evaluation
from tagrec_jax.evaluation import protocols

COUNTS = np.array([5, 3, 2, 1, 1])


def batches_of(target, seen, lengths, scores, size, order=None):
  """Questions in batches of `size`; the last is filled up with blank rows."""
  order = np.arange(len(target)) if order is None else order
  for begin in range(0, len(target), size):
    chosen = order[begin : begin + size]

    def rows(values, fill, chosen=chosen):
      values = np.asarray(values)[chosen]
      shape = (size - len(chosen), *values.shape[1:])
      return np.concatenate([values, np.full(shape, fill, values.dtype)])

    yield {
      "question": rows(np.arange(len(target)), -1),
      "target_ids": rows(np.asarray(target, np.int32), -1),
      "seen_ids": rows(np.asarray(seen, np.int32), -1),
      "history_lengths": rows(np.asarray(lengths, np.int32), 0),
      "scores": rows(np.asarray(scores, np.float32), 0),
    }


RULES = evaluation.Rules(
  cutoffs=(1, 2),
  bootstrap_samples=50,
  seed=0,
  passport={"model": "given", "fingerprint": "abc"},
)


def given(batch):
  return batch["scores"]


def ask(batches, protocol=protocols.STRICT, counts=COUNTS, rules=RULES):
  meter = evaluation.ItemMeter(rules, protocol=protocol, item_counts=counts)
  return evaluation.evaluate(given, batches, meter)


SCORES = [
  [5, 4, 3, 2, 1],  # seen 0: the target 1 is first
  [5, 4, 3, 2, 1],  # the target 2 is third
  [5, 4, 3, 2, 1],  # unknown target
  [5, 4, 3, 2, 1],  # the target 0 was seen
]
QUESTIONS = ([1, 2, -1, 0], [[0], [-1], [-1], [0]], [1, 0, 7, 30], SCORES)


def test_hand_worked():
  report = ask(batches_of(*QUESTIONS, 3))
  assert report.ranks_PM.tolist() == [[1], [3], [6], [6]]
  assert report.people == {"people": 4, "unknown_targets": 1, "repeats": 1}
  assert report.metrics == {
    "recall@1": 1 / 4,
    "recall@2": 1 / 4,
    "ndcg@1": 1 / 4,
    "ndcg@2": 1 / 4,
    "mrr@1": 1 / 4,
    "mrr@2": 1 / 4,
    "coverage@1": 2 / 5,  # 1, 0, 0, 1
    "coverage@2": 3 / 5,  # 1 2, 0 1, 0 1, 1 2
  }
  low, high = report.intervals["recall@1"]
  assert 0 <= low < 1 / 4 < high <= 1
  assert "coverage@1" not in report.intervals


def test_other_protocols_are_other_numbers():
  unmasked = ask(batches_of(*QUESTIONS, 2), protocols.UNMASKED)
  assert unmasked.ranks_PM.tolist() == [[2], [3], [6], [1]]
  assert unmasked.passport["protocol"] == "unmasked"
  assert unmasked.people["repeats"] == 1


def test_size_and_order_of_batches_change_nothing():
  random = np.random.default_rng(0)
  questions = (
    random.integers(-1, 5, 23),
    random.integers(-1, 5, (23, 2)),
    random.integers(0, 30, 23),
    random.normal(size=(23, 5)),
  )
  first, *others = (
    ask(batches_of(*questions, size, order))
    for size, order in (
      (23, None),
      (1, None),
      (4, None),
      (50, None),
      (4, random.permutation(23)),
    )
  )
  for other in others:
    assert other.to_json() == first.to_json()
    np.testing.assert_array_equal(other.ranks_PM, first.ranks_PM)
  assert sum(s.people for s in first.slices if "pop" in s.group) == 23
  assert sum(s.people for s in first.slices if "hist" in s.group) == 23


def test_what_fills_the_last_batch_is_not_asked():
  batch = next(batches_of(*QUESTIONS, 6))
  batch["target_ids"][4:] = 0
  batch["seen_ids"][4:] = 0
  report = ask([batch])
  assert report.people == {"people": 4, "unknown_targets": 1, "repeats": 1}


def test_broken_scores_are_worth_nothing():
  nan = np.full((4, 5), np.nan)
  report = ask(batches_of(*QUESTIONS[:3], nan, 4))
  assert set(report.metrics.values()) == {0.0}


def test_passport_and_json(tmp_path):
  report = ask(batches_of(*QUESTIONS, 4))
  path = tmp_path / "report.json"
  report.save(str(path))
  told = json.loads(path.read_text())
  assert told["passport"] == {
    "model": "given",
    "fingerprint": "abc",
    **protocols.STRICT.passport(),
    "catalogue": 5,
    "bootstrap": "95 % percentile intervals, 50 resamples of people, seed 0",
  }
  assert told["metrics"] == report.metrics
  assert told["slices"][0]["group"] == "target popularity"
  ranks = np.load(f"{path}.ranks.npy", allow_pickle=False)
  np.testing.assert_array_equal(ranks, report.ranks_PM)
  again = type(report).load(path)
  assert again.to_dict() == report.to_dict()
  np.testing.assert_array_equal(again.ranks_PM, ranks)
  assert sorted(p.name for p in tmp_path.iterdir()) == [
    "report.json",
    "report.json.ranks.npy",
  ]


def test_a_report_that_cannot_be_written(tmp_path):
  report = ask(batches_of(*QUESTIONS, 4))
  with pytest.raises(StorageError, match="cannot write the report"):
    report.save(str(tmp_path / "missing" / "report.json"))


def test_no_intervals():
  report = ask(
    batches_of(*QUESTIONS, 4),
    rules=dataclasses.replace(RULES, bootstrap_samples=0),
  )
  assert report.intervals == {}
  assert report.passport["bootstrap"] == "no intervals"


def test_nobody_to_ask():
  batch = next(batches_of(*QUESTIONS, 4))
  batch["question"][:] = -1
  for batches in ([], [batch]):
    with pytest.raises(UserError, match="found no person to ask"):
      ask(batches)


def test_scores_of_another_catalogue():
  with pytest.raises(UserError, match=r"shape \(4, 5\), expected \(4, 6\)"):
    ask(batches_of(*QUESTIONS, 4), counts=np.ones(6, int))


TAGS_OF_ITEM = np.array([[0, 1], [2, -1], [-1, -1]], np.int32)


COUNTED = TagCounts(3, np.array([1, 1, 1]))


def ask_tags(batches, tags=TAGS_OF_ITEM):
  meter = evaluation.TagMeter(RULES, tags_of_item=tags, counts=COUNTED)
  return evaluation.evaluate(given, batches, meter)


def test_tags_hand_worked():
  # Items 0 (tags 0, 1), 1 (tag 2), 2 (no tags) and an unknown one.
  scores = [[3, 1, 2]] * 4
  questions = ([0, 1, 2, -1], [[-1]] * 4, [1, 2, 3, 4], scores)
  for size in (1, 3, 4):
    report = ask_tags(batches_of(*questions, size))
    # Tag 0 is first, 2 second, 1 third.
    assert [sorted(row) for row in report.ranks_PM.tolist()] == [[1, 3], [0, 2]]
    assert report.people == {
      "people": 2,
      "unknown_targets": 1,
      "without_tags": 1,
    }
    assert report.metrics["precision@1"] == (1 + 0) / 2
    assert report.metrics["precision@2"] == (1 / 2 + 1 / 2) / 2
    assert report.metrics["recall@2"] == (1 / 2 + 1) / 2
    assert report.metrics["coverage@2"] == 2 / 3
    assert report.passport["catalogue"] == 3


def test_a_tag_listed_twice_is_one_tag():
  tags = np.array([[2, 2, 0]], np.int32)
  questions = ([0], [[-1]], [1], [[3, 2, 1]])
  report = ask_tags(batches_of(*questions, 1), tags)
  assert report.metrics["recall@1"] == 1 / 2
  assert report.metrics["precision@2"] == 1 / 2


def test_nobody_takes_an_item_with_tags():
  questions = ([2], [[-1]], [1], [[3, 2, 1]])
  with pytest.raises(UserError, match="no item with tags to ask for"):
    ask_tags(batches_of(*questions, 1))


def test_what_an_approximate_search_found_is_told():
  people = ([1, 2], [[0], [0]], [1, 1], [[5, 4, 3, 2, 1]] * 2)
  rules = dataclasses.replace(RULES, approximate=0.9)
  report = ask(batches_of(*people, size=2), rules=rules)
  assert report.passport["approximate lists"] == (
    "asked for 0.9, found 1.0000 of the best 2, exact on this device; metrics"
    " are of exact ones"
  )
  assert report.metrics == ask(batches_of(*people, size=2)).metrics
