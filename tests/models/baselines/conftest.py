"""Small prepared data sets, written as lists of each person's items."""

from __future__ import annotations

import numpy as np
import pytest

from tagrec_jax.data import dataset as data
from tagrec_jax.data.spec import Spec
from tagrec_jax.data.vocab import Vocabulary


@pytest.fixture
def make_dataset():
  return _dataset


def _dataset(histories, train=None, times=None, tags=None, num_items=4):
  """A Dataset of the given events.

  Args:
    histories: each person's items, oldest first.
    train: how many of each person's events are training; None for all.
    times: as histories; None for a data set of which only the order is known.
    tags: each item's tags, padded with -1.
  """
  lengths = [len(items) for items in histories]
  offsets = np.cumsum([0, *lengths])
  items = np.concatenate([np.array(items, np.int32) for items in histories])
  tags = np.full((num_items, 1), -1) if tags is None else np.array(tags)
  num_tags = int(tags.max()) + 1
  nobody = data.Questions(np.zeros(0, np.int32), np.zeros(0, np.int64))
  return data.Dataset(
    name="hand-made",
    fingerprint="",
    spec=Spec(num_items, num_tags, ()),
    items=Vocabulary([str(i) for i in range(num_items)]),
    tags=Vocabulary([f"t{i}" for i in range(num_tags)]),
    people=Vocabulary([f"p{i}" for i in range(len(histories))]),
    titles=("",) * num_items,
    events=data.Interactions(
      offsets,
      items,
      np.full(len(items), data.NO_TIME)
      if times is None
      else np.concatenate(times),
    ),
    train_ends=offsets[:-1] + (lengths if train is None else train),
    valid=nobody,
    test=nobody,
    product={"tags": tags.astype(np.int32)},
    person={},
    counts={},
  )
