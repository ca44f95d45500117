"""Batches of posts hold what earlier posts say, and nothing of later ones."""

from __future__ import annotations

import collections
import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.data.dataset import NO_TIME, Dataset, Questions
from tagrec_jax.data.posts import (
  PostBatches,
  ProductTags,
  post_question_batches,
  tagged,
)
from tests.data.made import BY_HAND, SETTINGS, make_posts

NEW_TAG, NEW_ITEM = 4, 3  # the first new rows of `make_posts`
_TAGS = st.lists(st.integers(0, 5), max_size=4, unique=True)
_POSTS = st.lists(st.tuples(st.integers(0, 2), _TAGS), max_size=9)
PEOPLE = st.lists(_POSTS, min_size=1, max_size=6)

MOMENT = {"moment": ("event", "hour"), "person": ("group",)}


def trained(dataset: Dataset, event: int) -> bool:
  person = np.searchsorted(dataset.events.offsets, event, side="right") - 1
  return event < dataset.train_ends[person]


def told(dataset: Dataset, event: int, most: int) -> list[tuple[int, int]]:
  """Slowly: (tag, count) of the product in the other posts of training."""
  events = dataset.events
  counts = collections.Counter(
    tag
    for other, item in enumerate(events.items.tolist())
    if other != event and trained(dataset, other)
    if item == events.items[event] < dataset.spec.num_items
    for tag in events.posted[other].tolist()
    if tag < dataset.spec.num_tags
  )
  return sorted(counts.items(), key=lambda c: (-c[1], c[0]))[:most]


def check_told(dataset: Dataset, batch, slot, event: int) -> None:
  tags, counts = batch["product_tags"][slot], batch["product_tag_counts"][slot]
  there = tags != UNKNOWN
  assert list(zip(tags[there], counts[there], strict=True)) == told(
    dataset, event, len(tags)
  )
  assert (counts[~there] == 0).all()
  assert not there[int(there.sum()) :].any()


def stream(dataset: Dataset) -> list[tuple[int, int]]:
  """(event, tag) of every assignment in order; UNKNOWN for all new tags."""
  posted = dataset.events.posted
  return [
    (event, tag if tag < NEW_TAG else UNKNOWN)
    for event in range(len(dataset.events.items))
    for tag in posted[event].tolist()
  ]


def check_slice(dataset: Dataset, batch, row: int, segment: int) -> list:
  """One slice of a training batch; the assignments it holds."""
  columns = np.flatnonzero(batch["history_segments"][row] == segment)
  assert (np.diff(columns) == 1).all()
  cut = {name: array[row, columns] for name, array in batch.items()}
  events = cut["moment_event"].tolist()
  tags = cut["history_tags"].tolist()
  read, every = list(zip(events, tags, strict=True)), stream(dataset)
  runs = [every[n : n + len(read)] for n in range(len(every))]
  assert read in runs, "no run of assignments"
  (person,) = set(cut["person_ids"].tolist())
  offsets = dataset.events.offsets
  assert offsets[person] <= events[0]
  assert events[-1] < dataset.train_ends[person]
  np.testing.assert_array_equal(cut["target_tags"], tags)
  np.testing.assert_array_equal(
    cut["history_ids"], dataset.events.items[events]
  )
  np.testing.assert_array_equal(cut["history_positions"], range(len(tags)))
  places = {event: n for n, event in enumerate(dict.fromkeys(events))}
  assert cut["history_posts"].tolist() == [places[event] for event in events]
  assert cut["history_times"].tolist() == [
    1000 * (event - events[0]) for event in events
  ]
  np.testing.assert_array_equal(cut["person_group"], person % 3)
  hours = np.array(events) * 1000 // 3600 % 24
  np.testing.assert_array_equal(cut["moment_hour"], hours)
  for column, event in zip(columns, events, strict=True):
    check_told(dataset, batch, (row, column), event)
  return read


@settings(max_examples=20)
@given(PEOPLE, st.sampled_from(["newest", "chunks"]), st.integers(1, 4))
def test_training_batches(people, long, most):
  dataset = make_posts(people)
  every = [(e, t) for e, t in stream(dataset) if trained(dataset, e)]
  pipeline = dataclasses.replace(
    SETTINGS, long_histories=long, batch_rows=2, product_tags=most
  )
  if all(tag == UNKNOWN for _, tag in every):
    with pytest.raises(UserError, match="no person gave a tag"):
      PostBatches(dataset, pipeline)
    return
  batches = PostBatches(dataset, pipeline, seed=1, **MOMENT)
  # As many batches as an epoch has rows are as many epochs as a batch has.
  met: collections.Counter = collections.Counter()
  for step in range(round(batches.steps_per_epoch * 2)):
    batch = batches(step)
    padded = batch["history_segments"] == 0
    for name, array in batch.items():
      zero = ("history_segments", "history_positions", "product_tag_counts")
      assert array.dtype == np.int32
      assert (array[padded] == (0 if name in zero else UNKNOWN)).all()
    for row, segments in enumerate(batch["history_segments"]):
      for segment in range(1, segments.max() + 1):
        met.update(check_slice(dataset, batch, row, segment))
  if long == "newest":
    every = [
      assignment
      for start, end in zip(
        dataset.events.offsets, dataset.train_ends, strict=False
      )
      for assignment in [a for a in every if start <= a[0] < end][
        -pipeline.max_history :
      ]
    ]
  assert met == collections.Counter(2 * every)


def test_training_by_hand():
  dataset = make_posts(BY_HAND)
  pipeline = dataclasses.replace(SETTINGS, batch_rows=1, product_tags=2)
  batch = PostBatches(dataset, pipeline, **MOMENT)(0)
  (row,) = batch["person_ids"]
  mine = row == 0
  expected = {
    "history_ids": [0, 0, 1, 1],
    "history_tags": [2, 1, 0, UNKNOWN],
    "target_tags": [2, 1, 0, UNKNOWN],
    "history_posts": [0, 0, 1, 1],
    "history_times": [0, 0, 1000, 1000],
    # Of product 0, event 4 says 2 and event 6 says 1; of product 1, event 5.
    "product_tags": [[1, 2], [1, 2], [0, 1], [0, 1]],
    "product_tag_counts": [[1, 1]] * 4,
  }
  for name, values in expected.items():
    np.testing.assert_array_equal(batch[name][0, mine], values, err_msg=name)
  other = row == 1
  np.testing.assert_array_equal(
    batch["product_tags"][0, other], [[1, 2], *[[0, UNKNOWN]] * 3]
  )
  np.testing.assert_array_equal(
    batch["product_tag_counts"][0, other], [[2, 1], *[[1, 0]] * 3]
  )
  assert batch["history_segments"].max() == 3


def test_questions_by_hand():
  dataset = make_posts(BY_HAND)
  pipeline = dataclasses.replace(SETTINGS, max_history=4, product_tags=2)
  asked = tagged(dataset, dataset.test)
  (batch,) = post_question_batches(
    dataset, asked, pipeline, batch_people=3, **MOMENT
  )
  np.testing.assert_array_equal(batch["question"], [1, 0, UNKNOWN])
  np.testing.assert_array_equal(batch["last"], [1, 3, 0])
  np.testing.assert_array_equal(batch["target_ids"], [1, NEW_ITEM, UNKNOWN])
  # The valid event of person 2 has no tag, so it is no post.
  np.testing.assert_array_equal(batch["history_lengths"], [1, 3, 0])
  expected = {
    "relevant_tags": [[0, -1, -1, -1], [1, 5, -1, -1], [-1] * 4],
    # The newest three of [2, 1, 0, new, 3] and the question.
    "history_tags": [[1, -1, -1, -1], [0, -1, 3, -1], [-1] * 4],
    "history_ids": [[0, 1, -1, -1], [1, 1, 0, NEW_ITEM], [-1] * 4],
    "history_posts": [[0, 1, -1, -1], [0, 0, 1, 2], [-1] * 4],
    "history_times": [[0, 2000, -1, -1], [0, 0, 1000, 2000], [-1] * 4],
    "history_segments": [[1, 1, 0, 0], [1] * 4, [0] * 4],
    "moment_event": [[6, 8, -1, -1], [1, 1, 2, 3], [-1] * 4],
    "target_tags": [[-1] * 4] * 3,
    "person_ids": [[2, 2, -1, -1], [0] * 4, [-1] * 4],
  }
  for name, values in expected.items():
    np.testing.assert_array_equal(batch[name], values, err_msg=name)
  # Of product 1, twice 0; of a new product nothing is known.
  np.testing.assert_array_equal(batch["product_tags"][0, 1], [0, 1])
  np.testing.assert_array_equal(batch["product_tag_counts"][0, 1], [2, 1])
  np.testing.assert_array_equal(batch["product_tags"][1, 3], [-1, -1])


@settings(max_examples=20)
@given(PEOPLE, st.sampled_from(["valid", "test"]), st.integers(2, 7))
def test_questions(people, split, most):
  dataset = make_posts(people)
  questions = tagged(dataset, getattr(dataset, split))
  pipeline = dataclasses.replace(SETTINGS, max_history=most)
  batches = post_question_batches(
    dataset, questions, pipeline, batch_people=2, **MOMENT
  )
  met, lengths = [], []
  for batch in batches:
    assert (batch["target_tags"] == UNKNOWN).all()
    for row, question in enumerate(batch["question"].tolist()):
      if question == UNKNOWN:
        assert (batch["history_segments"][row] == 0).all()
        assert (batch["relevant_tags"][row] == UNKNOWN).all()
        continue
      met.append(question)
      person = questions.people[question]
      event = int(questions.events[question])
      start = dataset.events.offsets[person]
      earlier = [(e, t) for e, t in stream(dataset) if start <= e < event]
      assert batch["history_lengths"][row] == len({e for e, _ in earlier})
      lengths.append(len(earlier))
      read = [*earlier[max(len(earlier) - most + 1, 0) :], (event, UNKNOWN)]
      last = batch["last"][row]
      assert last == len(read) - 1
      used = batch["history_segments"][row] == 1
      assert used.tolist() == [n <= last for n in range(len(used))]
      events = [e for e, _ in read]
      assert batch["moment_event"][row, used].tolist() == events
      assert batch["history_tags"][row, used].tolist() == [t for _, t in read]
      check_told(dataset, batch, (row, last), event)
      relevant = batch["relevant_tags"][row]
      posted = dataset.events.posted[event]
      np.testing.assert_array_equal(relevant[relevant != UNKNOWN], posted)
  assert sorted(met) == list(range(len(questions.people)))
  assert lengths == sorted(lengths)


def held_out_changed(dataset: Dataset, first: int, seed: int) -> Dataset:
  """Other products and tags in the last events of everybody.

  Args:
    first: 0 changes what is valid and after it, 1 what is test.
  """
  random = np.random.default_rng(seed)
  events = dataset.events
  changed = np.zeros(len(events.items), bool)
  for person, event in zip(
    dataset.valid.people, dataset.valid.events, strict=True
  ):
    changed[event + first : events.offsets[person + 1]] = True
  items = np.where(changed, random.integers(0, 4, len(changed)), events.items)
  values, posted = events.posted.values.copy(), events.posted
  of = np.repeat(changed, np.diff(posted.offsets))
  values[of] = (values[of] + random.integers(1, 5)) % 6
  return dataclasses.replace(
    dataset,
    events=dataclasses.replace(
      events,
      items=items.astype(np.int32),
      posted=dataclasses.replace(posted, values=values),
    ),
  )


@settings(max_examples=15)
@given(PEOPLE, st.integers(0, 99))
def test_what_is_held_out_never_trains(people, seed):
  one = make_posts([BY_HAND[1], *people])
  two = held_out_changed(one, 0, seed)
  a, b = (PostBatches(d, SETTINGS, **MOMENT) for d in (one, two))
  for step in range(2):
    for name, array in a(step).items():
      np.testing.assert_array_equal(array, b(step)[name], err_msg=name)


@settings(max_examples=15)
@given(PEOPLE, st.integers(0, 99))
def test_a_question_does_not_see_what_comes_later(people, seed):
  one = make_posts([BY_HAND[1], *people])
  two = held_out_changed(one, 1, seed)
  questions = one.valid  # with those that are no posts
  for a, b in zip(
    *(
      post_question_batches(d, questions, SETTINGS, batch_people=3, **MOMENT)
      for d in (one, two)
    ),
    strict=True,
  ):
    for name, array in a.items():
      np.testing.assert_array_equal(array, b[name], err_msg=name)


def test_its_own_tags_are_not_told_to_a_question():
  """Not even where the post asked about has trained."""
  dataset = make_posts(BY_HAND)
  for event, person in ((4, 1), (1, 0), (6, 2)):
    asked = Questions(np.array([person], np.int32), np.array([event]))
    (batch,) = post_question_batches(dataset, asked, SETTINGS, batch_people=1)
    check_told(dataset, batch, (0, batch["last"][0]), event)


def test_other_peoples_posts_are_told_of_all_that_trained():
  dataset = make_posts(BY_HAND)
  counted = ProductTags(dataset, SETTINGS.product_tags)
  other = make_posts([[(0, []), (1, [])]])
  asked = Questions(np.array([0, 0], np.int32), np.array([0, 1]))
  (batch,) = post_question_batches(
    other, asked, SETTINGS, batch_people=2, product_tags=counted
  )
  np.testing.assert_array_equal(
    batch["product_tags"][:, 0], [[1, 2, UNKNOWN], [0, 1, 2]]
  )
  np.testing.assert_array_equal(
    batch["product_tag_counts"][:, 0], [[2, 2, 0], [2, 1, 1]]
  )
  assert (batch["person_ids"] == UNKNOWN).all()
  assert batch["last"].tolist() == [0, 0]


def test_without_times():
  dataset = make_posts(BY_HAND)
  times = np.full_like(dataset.events.times, NO_TIME)
  events = dataclasses.replace(dataset.events, times=times)
  batch = PostBatches(dataclasses.replace(dataset, events=events), SETTINGS)(0)
  assert (batch["history_times"] == UNKNOWN).all()


def test_nobody_tags():
  dataset = make_posts(BY_HAND)
  events = dataclasses.replace(dataset.events, posted=None)
  bare = dataclasses.replace(dataset, events=events)
  assert not len(bare.assignments.tags)
  assert not len(tagged(bare, bare.test).people)
  with pytest.raises(UserError, match="no person gave a tag"):
    PostBatches(bare, SETTINGS)
