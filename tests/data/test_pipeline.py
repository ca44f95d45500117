"""Batches ask every training event once, from its own past alone."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagrec_jax.core.axes import BEGIN, UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.data import store
from tagrec_jax.data.dataset import NO_TIME
from tagrec_jax.data.fingerprint import fingerprint
from tagrec_jax.data.pipeline import TrainBatches
from tagrec_jax.data.questions import question_batches
from tagrec_jax.data.spec import Feature, Kind, Part, Spec
from tests.data.made import SETTINGS, make_dataset


def asked(batches: TrainBatches, steps: int) -> list[int]:
  """All targets of the first steps."""
  targets = np.stack([batches(step)["target_ids"] for step in range(steps)])
  return np.sort(targets[targets >= 0]).tolist()


@given(
  st.lists(st.integers(3, 30), min_size=1, max_size=12),
  st.sampled_from(["newest", "chunks"]),
  st.booleans(),
  st.integers(1, 5),
)
def test_each_training_event_is_asked_once_an_epoch(lengths, long, begin, rows):
  settings = dataclasses.replace(
    SETTINGS, long_histories=long, begin_token=begin, batch_rows=rows
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
  # As many batches as an epoch has rows are as many epochs as a batch has.
  steps = round(batches.steps_per_epoch * rows)
  assert asked(batches, steps) == sorted(expected * rows)
  assert batches.fill == len(expected) / (steps * settings.row_length)


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


def test_a_batch_may_be_larger_than_an_epoch():
  settings = dataclasses.replace(SETTINGS, batch_rows=12)
  batches = TrainBatches(make_dataset([9, 5, 7, 5]), settings)
  assert batches.steps_per_epoch == 2 / 12
  counts = np.bincount(batches(0)["target_ids"][:, :9].ravel() + 1)[1:]
  assert counts.max() == 6
  for step in range(3):
    halves = [
      TrainBatches(make_dataset([9, 5, 7, 5]), settings, host=h, hosts=2)(step)
      for h in (0, 1)
    ]
    np.testing.assert_array_equal(
      batches(step)["target_ids"],
      np.concatenate([half["target_ids"] for half in halves]),
    )


def test_hosts_must_divide_the_batch():
  with pytest.raises(
    UserError, match=r"found 4, expected a multiple of the 3 .*3, 6 or 9"
  ):
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


def test_times_are_of_what_is_read_and_of_what_is_asked():
  """Against the times of events themselves, slice by slice."""
  dataset = make_dataset([9, 5, 7, 4])
  times = 1_000_000_000 + np.arange(len(dataset.events.items)) ** 2
  times[3] = NO_TIME
  events = dataclasses.replace(dataset.events, times=times)
  dataset = dataclasses.replace(dataset, events=events)
  batch = TrainBatches(dataset, SETTINGS)(0)
  time_of = dict(zip(events.items.tolist(), times.tolist(), strict=True))
  segments = batch["history_segments"]
  for row, column in np.argwhere(
    (segments > 0) & (batch["history_positions"] == 0)
  ):
    segment = segments[row, column]
    mine = segments[row] == segment
    for name, ids in (
      ("history_times", "history_ids"),
      ("asked_times", "target_ids"),
    ):
      wanted = [time_of.get(i, NO_TIME) for i in batch[ids][row][mine].tolist()]
      both = [
        time_of.get(i, NO_TIME)
        for key in ("history_ids", "target_ids")
        for i in batch[key][row][mine].tolist()
      ]
      start = min(t for t in both if t != NO_TIME)
      np.testing.assert_array_equal(
        batch[name][row][mine],
        [UNKNOWN if t == NO_TIME else t - start for t in wanted],
      )
  for name in ("history_times", "asked_times"):
    assert (batch[name][segments == 0] == UNKNOWN).all()
    assert batch[name].max() > 0


@pytest.mark.parametrize("long", ["newest", "chunks"])
def test_batches_of_mapped_columns_are_the_same(tmp_path, monkeypatch, long):
  from tagrec_jax.data import builder, epochs, mapped

  monkeypatch.setattr(epochs, "WINDOW_ROWS", 2)
  settings = dataclasses.replace(
    SETTINGS, long_histories=long, begin_token=False
  )
  dataset = make_dataset([3, 9, 5, 2, 30, 7, 2, 4, 8] * 3)
  dataset = dataclasses.replace(
    dataset,
    spec=Spec(1000, 0, (Feature("group", Part.PERSON, Kind.CATEGORY, 3),)),
  )
  dataset = dataclasses.replace(dataset, fingerprint=fingerprint(dataset))
  monkeypatch.setattr(builder, "BLOCK_ROWS", 1)
  store.write(dataset, tmp_path / "data")
  monkeypatch.setattr(builder, "SHARD_BLOCKS", 3)
  monkeypatch.setattr(builder, "LARGE", 0)
  monkeypatch.setattr(mapped, "LARGE", 0)
  read = store.read(tmp_path / "data")
  few = {"person": ("group",), "moment": ("hour",), "seed": 3}
  few = {"person": ("group",), "moment": ("hour",), "seed": 3}
  drawn = {}
  for part, data in ((1, read), (2, read), (2**16, dataset)):
    if data is dataset:
      monkeypatch.setattr(mapped, "LARGE", 2**24)
    monkeypatch.setattr(epochs, "_PART", part)
    made = TrainBatches(data, settings, **few)
    assert 1 < made.steps_per_epoch < 5
    drawn[part] = [made(step) for step in range(6)]
  for batches in zip(*drawn.values(), strict=True):
    for name, array in batches[2].items():
      np.testing.assert_array_equal(array, batches[0][name])
      np.testing.assert_array_equal(array, batches[1][name])
  for questions in ("valid", "test"):
    both = [
      list(
        question_batches(
          data, getattr(data, questions), settings, batch_people=4
        )
      )
      for data in (dataset, read)
    ]
    for batch, other in zip(*both, strict=True):
      for name, array in batch.items():
        np.testing.assert_array_equal(array, other[name])
