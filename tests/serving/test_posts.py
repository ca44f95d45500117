"""Tags of a post are asked as posts of test are, and told with their source."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagrec_jax.core.errors import UserError
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.vocab import Vocabulary
from tagrec_jax.run.asked import asked
from tagrec_jax.serving.people import People
from tagrec_jax.serving.posts import PostTagger
from tagrec_jax.serving.requests import Request, Taken
from tests.data.made import make_posts
from tests.run.test_posts import settings

MEASURED = ("question", "events", "relevant_tags", "moment_event")
"""Arrays that only a measurement has; of a given history no class is known."""


def named(people, **sizes) -> Dataset:
  """Items 'i0', 'i1', ... of which the last is new, tags and people alike."""
  plain = make_posts(people, **sizes)
  spec = plain.spec
  size = spec.num_tags
  return dataclasses.replace(
    plain,
    spec=dataclasses.replace(spec, num_new_items=1, num_new_tags=1),
    items=Vocabulary([f"i{n}" for n in range(spec.num_items)]),
    new_items=Vocabulary([f"i{spec.num_items}"]),
    tags=Vocabulary([f"t{n}" for n in range(size)]),
    new_tags=Vocabulary([f"t{size}"]),
    people=Vocabulary([f"p{n}" for n in range(len(people))]),
    titles=tuple(f"Item {n}" for n in range(spec.num_items + 1)),
  )


def as_request(dataset: Dataset, person: int, event: int) -> Request:
  """What is known before the event, as an outsider would tell it."""
  events = dataset.events
  history = tuple(
    Taken(
      dataset.all_items.ids[events.items[e]],
      int(events.times[e]),
      tuple(dataset.all_tags.ids[t] for t in events.posted[e]),
    )
    for e in range(int(events.offsets[person]), event)
  )
  item = dataset.all_items.ids[events.items[event]]
  who = dataset.people.ids[person]
  return Request(who, history, int(events.times[event]), item=item)


def scores(batch):
  """The tags of the product, then the newest of the person, then others."""
  score_BT = np.tile(-np.arange(5, dtype=np.float32), (len(batch["last"]), 1))
  for row, last in enumerate(batch["last"]):
    for tag in batch["history_tags"][row]:
      score_BT[row, tag] = 1 if tag >= 0 else score_BT[row, tag]
    for tag, count in zip(
      batch["product_tags"][row, last],
      batch["product_tag_counts"][row, last],
      strict=True,
    ):
      score_BT[row, tag] = 10 * count if tag >= 0 else score_BT[row, tag]
  return {"tags": score_BT}


posts = st.tuples(
  st.integers(0, 3), st.lists(st.integers(0, 4), max_size=3, unique=True)
)
crowds = st.lists(
  st.lists(posts, min_size=1, max_size=9), min_size=1, max_size=5
)


@given(crowds)
def test_a_request_is_the_measured_question(people):
  """Array for array, whether histories fit or have to be cut."""
  people = [*people, [(0, [0]), (1, [1]), (0, [2]), (2, [3])]]
  wanted = settings()
  wanted = dataclasses.replace(
    wanted, pipeline=dataclasses.replace(wanted.pipeline, max_history=6)
  )
  dataset = named(people)
  questions = asked(wanted, dataset, "test")
  (measured,) = questions.batches()
  rows = measured["events"] >= 0
  owners = np.repeat(np.arange(len(people)), np.diff(dataset.events.offsets))
  requests = [
    as_request(dataset, int(owners[event]), int(event))
    for event in measured["events"][rows]
  ]
  tagger = PostTagger(scores, dataset, wanted)
  (group,) = People(dataset, 256).groups(requests)
  made = tagger.batch(group)
  order = np.argsort(made["question"])
  last = measured["last"][rows]
  for name in measured.keys() - MEASURED:
    here, there = made[name][order], measured[name][rows]
    if name.startswith("product_"):
      # Read where something is asked; of earlier posts it differs.
      here, there = (a[np.arange(len(last)), last] for a in (here, there))
    np.testing.assert_array_equal(here, there, err_msg=name)


TWO = [
  [(0, [0]), (1, [1]), (0, [2]), (2, [3])],
  [(0, [0, 1]), (0, [1]), (1, [0])],
]


@pytest.fixture
def tagger():
  return PostTagger(scores, named(TWO), settings())


def test_a_known_person_is_answered_from_all_posts(tagger):
  (answer,) = tagger.answer([Request("p0", item="i0")], k=4)
  # Of the first product training knows t0 and t0, t1; the person gave all.
  assert answer == {
    "person": "p0",
    "item": "i0",
    "title": "Item 0",
    "tags": [
      {"tag": "t0", "score": 20.0},
      {"tag": "t1", "score": 10.0},
      {"tag": "t2", "score": 1.0},
      {"tag": "t3", "score": 1.0},
    ],
    "copied": {"person": ["t0", "t1", "t2", "t3"], "product": ["t0", "t1"]},
    "unknown": [],
  }


def test_rules_of_tags_are_kept():
  request, dataset = Request("p0", item="i0"), named(TWO)
  for rules, expected in (
    ({"allowed": ["t[13]"]}, ["t1", "t3"]),
    ({"exclusive": ["t[01]"]}, ["t0", "t2", "t3", "t4"]),
  ):
    tagger = PostTagger(scores, dataset, settings(), **rules)
    (answer,) = tagger.answer([request], k=5)
    assert [tag["tag"] for tag in answer["tags"]] == expected
    assert set(answer["copied"]["product"]) < {"t0", "t1"}


def test_a_stranger_and_nobody_and_a_product_nobody_tagged(tagger):
  stranger = Request(
    history=(Taken("i1", 5, ("  t3", "never met")), Taken("nowhere", 7)),
    item="i0",
    time=9,
  )
  answers = list(
    tagger.answer(
      [stranger, Request(history=(), item="i2"), Request("p1", item="i3")], k=3
    )
  )
  told = [[tag["tag"] for tag in answer["tags"]] for answer in answers]
  assert told[0] == ["t0", "t1", "t3"]
  assert answers[0]["copied"] == {"person": ["t3"], "product": ["t0", "t1"]}
  assert answers[0]["unknown"] == ["nowhere", "never met"]
  assert told[1] == ["t0", "t1", "t2"]
  assert answers[1]["copied"] == {"person": [], "product": []}
  assert told[2] == ["t0", "t1", "t2"]
  assert answers[2]["title"] == "Item 3"
  assert answers[2]["copied"] == {"person": ["t0", "t1"], "product": []}


def test_only_people_who_trained_have_a_row():
  alone = [(0, [0])]
  dataset = named([*TWO, alone])
  dataset.train_ends[2] = dataset.events.offsets[2]
  tagger = PostTagger(scores, dataset, settings())
  requests = [Request(f"p{n}", item="i0") for n in (1, 2, 0)]
  (group,) = People(dataset, 4).groups([*requests, Request("", (), item="i0")])
  batch = tagger.batch(group)
  order = np.argsort(batch["question"])
  rows = np.take_along_axis(
    batch["person_ids"], batch["last"][:, None].astype(np.int64), 1
  )
  assert rows[order, 0].tolist() == [1, -1, 0, -1]


@pytest.mark.parametrize("size", [1, 2, 50])
def test_answers_come_in_the_order_of_requests(size):
  wanted = settings()
  wanted = dataclasses.replace(
    wanted,
    evaluation=dataclasses.replace(wanted.evaluation, batch_people=size),
  )
  tagger = PostTagger(scores, named(TWO), wanted)
  requests = [
    Request(history=(Taken("i1", None, (f"t{n}",)),) * (5 - n), item="i2")
    for n in (2, 0, 3, 1)
  ]
  best = [a["copied"]["person"] for a in tagger.answer(requests, k=4)]
  assert best == [["t2"], ["t0"], ["t3"], ["t1"]]
  assert list(tagger.answer([])) == []


@pytest.mark.parametrize(
  ("request_", "message"),
  [
    (Request("p0"), "request 1: found no product"),
    (Request("p0", item="i9"), "item: 'i9' is not in the data set"),
    (Request("zoe", item="i0"), "'zoe' is not in the data set"),
    (Request("p0", item="i0", context={"x": "y"}), "context: found 'x'"),
  ],
)
def test_what_cannot_be_asked_is_told(tagger, request_, message):
  with pytest.raises(UserError, match=message):
    list(tagger.answer([request_]))
