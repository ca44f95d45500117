"""Batches of posts come in any order, to any host, and fast."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.data.posts import PostBatches
from tests.data.made import BY_HAND, SETTINGS, make_posts


def test_seed_step_and_hosts():
  dataset = make_posts([BY_HAND[0] * 3, BY_HAND[1] * 4] * 6)
  first, second = (PostBatches(dataset, SETTINGS, seed=3) for _ in range(2))
  halves = [
    PostBatches(dataset, SETTINGS, seed=3, host=host, hosts=2)
    for host in range(2)
  ]
  second(7)  # what was asked before leaves no trace
  for step in (5, 0, 11):
    parts = [half(step) for half in halves]
    for name, array in first(step).items():
      np.testing.assert_array_equal(array, second(step)[name])
      np.testing.assert_array_equal(
        array, np.concatenate([part[name] for part in parts])
      )
  other = PostBatches(dataset, SETTINGS, seed=4)
  assert any((other(0)[k] != v).any() for k, v in first(0).items())
  with pytest.raises(UserError, match=r"found 4, expected a multiple of the 3"):
    PostBatches(dataset, SETTINGS, hosts=3)


def test_a_million_assignments(unchecked_types):
  """A batch of 4,096 tokens is made in tens of milliseconds."""
  random = np.random.default_rng(0)
  people, each = 2_000, 100
  small = make_posts([[(0, [0])]])
  number = people * each
  offsets = np.arange(people + 1) * each
  lengths = random.integers(1, 10, number)
  events = dataclasses.replace(
    small.events,
    offsets=offsets,
    items=random.integers(0, 5_000, number).astype(np.int32),
    times=np.arange(number),
    posted=small.events.posted.of(
      random.zipf(1.3, lengths.sum()).clip(max=20_000).astype(np.int32) - 1,
      lengths,
    ),
  )
  dataset = dataclasses.replace(
    small,
    events=events,
    train_ends=offsets[1:],
    spec=dataclasses.replace(small.spec, num_items=5_000, num_tags=20_000),
  )
  pipeline = dataclasses.replace(
    SETTINGS,
    batch_rows=16,
    row_length=256,
    max_history=50,
    product_tags=32,
  )
  begun = time.perf_counter()
  batches = PostBatches(dataset, pipeline)
  assert time.perf_counter() - begun < 5
  batches(0)
  begun = time.perf_counter()
  for step in range(1, 6):
    batches(step)
  assert (time.perf_counter() - begun) / 5 < 0.2
