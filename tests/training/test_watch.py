from __future__ import annotations

import json

import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.training.watch import Watch


def test_patience_by_hand():
  watch = Watch("ndcg@10", patience=2)
  values = [0.1, 0.3, 0.3, float("nan"), 0.4]
  found = []
  for number, value in enumerate(values):
    better = watch.update(number, {"ndcg@10": value})
    found.append((better, watch.bad, watch.exhausted))
  assert found == [
    (True, 0, False),
    (True, 0, False),
    (False, 1, False),  # an equal value is not better
    (False, 2, True),
    (True, 0, False),
  ]
  assert (watch.best, watch.best_step) == (0.4, 4)
  assert watch.score(4) == 0.4
  assert watch.score(3) is None


def test_without_patience_it_never_ends():
  watch = Watch("loss", patience=0)
  for step in range(9):
    watch.update(step, {"loss": -float(step)})
  assert not watch.exhausted


def test_it_resumes_from_json():
  watch = Watch("ndcg@10", 3)
  watch.update(5, {"ndcg@10": 0.2})
  watch.update(6, {"ndcg@10": 0.1})
  again = Watch("ndcg@10", 3)
  again.resume(json.loads(json.dumps(watch.to_plain())))
  assert again == watch


def test_an_unknown_metric():
  with pytest.raises(UserError, match="config.train.watch.*use 'ndcg@10'"):
    Watch("ndcg10", 0).update(1, {"ndcg@10": 1.0, "recall@10": 1.0})
