"""Batches ask every training event once, from its own past alone."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagrec_jax.core.axes import BEGIN, UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import PipelineSettings
from tagrec_jax.data.dataset import Dataset, Interactions, Questions
from tagrec_jax.data.pipeline import TrainBatches, question_batches
from tagrec_jax.data.spec import Spec
from tagrec_jax.data.vocab import Vocabulary

SETTINGS = PipelineSettings(
  batch_rows=4,
  row_length=16,
  max_history=6,
  long_histories="newest",
  begin_token=True,
)


def make_dataset(lengths: list[int]) -> Dataset:
  """Person p takes items 100·p, 100·p + 1, ...; the last two are held out."""
  offsets = np.cumsum([0, *lengths]).astype(np.int64)
  items = np.concatenate(
    [100 * p + np.arange(n) for p, n in enumerate(lengths)] or [[]]
  ).astype(np.int32)
  people = np.arange(len(lengths), dtype=np.int32)
  ends = np.maximum(offsets[1:] - 2, offsets[:-1])
  return Dataset(
    name="made",
    fingerprint="0",
    spec=Spec(100 * len(lengths), 0, ()),
    items=Vocabulary([]),
    tags=Vocabulary([]),
    people=Vocabulary([str(p) for p in people]),
    titles=(),
    events=Interactions(offsets, items, 1000 * items.astype(np.int64)),
    train_ends=ends,
    valid=Questions(people, offsets[1:] - 2),
    test=Questions(people, offsets[1:] - 1),
    product={},
    person={"group": people % 3},
    counts={},
  )


def asked(batches: TrainBatches, epoch: int = 0) -> list[int]:
  """All targets of an epoch."""
  steps = range(batches.steps_per_epoch)
  all_targets = [
    batches(epoch * len(steps) + step)["target_ids"] for step in steps
  ]
  return sorted(t for t in np.concatenate(all_targets).ravel() if t >= 0)


@given(
  st.lists(st.integers(3, 30), min_size=1, max_size=12),
  st.sampled_from(["newest", "chunks"]),
  st.booleans(),
)
def test_an_epoch_asks_each_training_event_once(lengths, long, begin):
  settings = dataclasses.replace(
    SETTINGS, long_histories=long, begin_token=begin, batch_rows=64
  )
  dataset = make_dataset(lengths)
  if not begin and max(lengths) < 4:
    return
  batches = TrainBatches(dataset, settings, seed=1)
  expected = []
  for person, length in enumerate(lengths):
    first = 0 if begin else 1
    if long == "newest":
      first = max(first, length - 2 - settings.max_history)
    expected += [100 * person + n for n in range(first, length - 2)]
  assert asked(batches, 0) == sorted(expected)


def test_a_token_reads_the_event_before_the_one_it_asks_for():
  batch = TrainBatches(make_dataset([9, 5, 7, 4]), SETTINGS)(0)
  ids, targets = batch["history_ids"], batch["target_ids"]
  segments, positions = batch["history_segments"], batch["history_positions"]
  valid = segments > 0
  begins = valid & (ids == BEGIN)
  assert begins.any()
  np.testing.assert_array_equal(targets[begins] % 100, 0)
  later = valid & ~begins
  np.testing.assert_array_equal(targets[later], ids[later] + 1)
  # Neighbours in a segment follow one another, and a segment is one person.
  same = (segments[:, 1:] == segments[:, :-1]) & valid[:, 1:]
  np.testing.assert_array_equal(
    positions[:, 1:][same], positions[:, :-1][same] + 1
  )
  np.testing.assert_array_equal(
    targets[:, 1:][same] // 100, targets[:, :-1][same] // 100
  )
  assert (targets[~valid] == UNKNOWN).all()


def test_a_batch_depends_on_seed_and_step_alone():
  dataset = make_dataset([20] * 10)
  first, second = (TrainBatches(dataset, SETTINGS, seed=3) for _ in range(2))
  second(7)  # what was asked before leaves no trace
  for step in (5, 0, 11):
    for name, array in first(step).items():
      np.testing.assert_array_equal(array, second(step)[name])
  other = TrainBatches(dataset, SETTINGS, seed=4)
  assert any((other(0)[k] != v).any() for k, v in first(0).items())


def test_hosts_share_the_same_global_batch():
  dataset = make_dataset([20] * 10)
  whole = TrainBatches(dataset, SETTINGS, seed=3)(2)
  parts = [
    TrainBatches(dataset, SETTINGS, seed=3, host=h, hosts=2)(2) for h in (0, 1)
  ]
  for name, array in whole.items():
    np.testing.assert_array_equal(
      array, np.concatenate([part[name] for part in parts])
    )


def test_hosts_must_divide_the_batch():
  with pytest.raises(UserError, match=r"found 4, expected a multiple of the 3"):
    TrainBatches(make_dataset([5]), SETTINGS, hosts=3)


def test_context_is_that_of_the_moment_asked():
  dataset = make_dataset([6, 6])
  batches = TrainBatches(
    dataset, SETTINGS, moment=("gap", "hour"), person=("group",)
  )
  batch = batches(0)
  targets = batch["target_ids"]
  valid = targets >= 0
  np.testing.assert_array_equal(
    batch["moment_hour"][valid], targets[valid] * 1000 // 3600 % 24
  )
  np.testing.assert_array_equal(
    batch["person_group"][valid], targets[valid] // 100
  )
  begins = batch["history_ids"] == BEGIN
  assert (batch["moment_gap"][begins] == UNKNOWN).all()
  assert (batch["moment_gap"][valid & ~begins] == 10).all()  # 1000 s


@pytest.mark.parametrize("begin", [True, False])
def test_questions_read_the_past_and_nothing_else(begin):
  settings = dataclasses.replace(SETTINGS, begin_token=begin)
  dataset = make_dataset([4, 12, 3])
  (batch,) = question_batches(dataset, dataset.test, settings, batch_people=5)
  np.testing.assert_array_equal(batch["mask"], [1, 1, 1, 0, 0])
  np.testing.assert_array_equal(batch["target_ids"][:3], [3, 111, 202])
  np.testing.assert_array_equal(batch["history_lengths"][:3], [3, 11, 2])
  for row in range(3):
    last = batch["last"][row]
    read = batch["history_ids"][row]
    assert read[last] == batch["target_ids"][row] - 1
    assert batch["history_positions"][row, last] == last
    assert (batch["history_segments"][row, : last + 1] == 1).all()
    assert (batch["history_segments"][row, last + 1 :] == 0).all()
    assert batch["target_ids"][row] not in read
  assert (batch["history_ids"][0, 0] == BEGIN) == begin
  np.testing.assert_array_equal(batch["seen_ids"][1], np.arange(100, 111))
  assert (batch["seen_ids"][0, 3:] == UNKNOWN).all()


def test_a_history_in_training_and_in_a_question_has_the_same_positions():
  settings = dataclasses.replace(SETTINGS, begin_token=False)
  dataset = make_dataset([8])
  trained = TrainBatches(dataset, settings)(0)
  (question,) = question_batches(
    dataset, dataset.valid, settings, batch_people=1
  )
  at = {
    int(id): int(position)
    for id, position in zip(
      question["history_ids"][0], question["history_positions"][0], strict=True
    )
    if id >= 0
  }
  row = trained["history_segments"][0] > 0
  for id, position in zip(
    trained["history_ids"][0][row],
    trained["history_positions"][0][row],
    strict=True,
  ):
    assert at[int(id)] == position


def test_an_empty_history_can_be_asked():
  dataset = make_dataset([3])
  first = Questions(np.array([0], np.int32), np.array([0]))
  (batch,) = question_batches(dataset, first, SETTINGS, batch_people=1)
  assert batch["history_ids"][0, batch["last"][0]] == BEGIN
  assert batch["history_lengths"][0] == 0
