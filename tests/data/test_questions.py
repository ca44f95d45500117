"""A question reads the past of its person and nothing else."""

import dataclasses

import numpy as np
import pytest

from tagrec_jax.core.axes import BEGIN, UNKNOWN
from tagrec_jax.data.dataset import Questions
from tagrec_jax.data.pipeline import TrainBatches
from tagrec_jax.data.questions import question_batches
from tests.data.made import SETTINGS, make_dataset


@pytest.mark.parametrize("begin", [True, False])
def test_questions_read_the_past_and_nothing_else(begin):
  settings = dataclasses.replace(SETTINGS, begin_token=begin)
  dataset = make_dataset([4, 12, 3])
  (batch,) = question_batches(dataset, dataset.test, settings, batch_people=5)
  # The shortest history first.
  np.testing.assert_array_equal(batch["question"], [2, 0, 1, -1, -1])
  np.testing.assert_array_equal(batch["target_ids"], [202, 3, 111, -1, -1])
  np.testing.assert_array_equal(batch["history_lengths"], [2, 3, 11, 0, 0])
  for row in range(3):
    last = batch["last"][row]
    read = batch["history_ids"][row]
    assert read[last] == batch["target_ids"][row] - 1
    assert batch["history_positions"][row, last] == last
    assert (batch["history_segments"][row, : last + 1] == 1).all()
    assert (batch["history_segments"][row, last + 1 :] == 0).all()
    assert batch["target_ids"][row] not in read
  assert (batch["history_ids"][1, 0] == BEGIN) == begin
  np.testing.assert_array_equal(batch["seen_ids"][2, :11], np.arange(100, 111))
  assert (batch["seen_ids"][2, 11:] == UNKNOWN).all()
  np.testing.assert_array_equal(batch["seen_ids"][1, :4], [0, 1, 2, UNKNOWN])
  assert (batch["seen_ids"][3:] == UNKNOWN).all()


def test_a_long_history_makes_only_its_own_batch_wide():
  settings = dataclasses.replace(SETTINGS, max_history=50)
  lengths = [500, 9, 40, 10, 5, 12, 20]
  dataset = make_dataset(lengths)
  batches = list(
    question_batches(dataset, dataset.test, settings, batch_people=2)
  )
  np.testing.assert_array_equal(
    [batch["question"] for batch in batches], [[4, 1], [3, 5], [6, 2], [0, -1]]
  )
  # BEGIN and the events before the one asked for.
  widths = [batch["history_ids"].shape[1] for batch in batches]
  assert widths == [16, 16, 50, 50]
  assert [batch["seen_ids"].shape[1] for batch in batches] == [8, 16, 64, 512]


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
