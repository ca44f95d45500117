"""Counts of tags on paper, and what a question may know."""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from tagrec_jax.data.dataset import NO_TIME
from tagrec_jax.models.baselines import posts, posts_popular
from tagrec_jax.models.baselines.base_level import BaseLevel
from tests.data.made import make_posts

# Events 0 to 3 are of person 0, 4 and 5 of person 1, 6 and 7 of person 2, a
# thousand seconds apart. The events 2 and 3 are held out; tag 4 is new.
PEOPLE = [
  [(0, [0, 1]), (1, [0]), (0, [2]), (1, [3])],
  [(0, [1]), (2, [1, 4])],
  [(1, [3]), (1, [3, 0])],
]
# Valid, test, a new product, and a row that only fills up.
ASKED = {
  "question": np.array([0, 1, 2, -1]),
  "events": np.array([2, 3, 6, -1]),
  "target_ids": np.array([0, 1, 3, -1], np.int32),
}
# Of person 0 before the events 2 and 3; of person 2 before the first post.
OWN = [[2 / 3, 1 / 3, 0, 0], [2 / 4, 1 / 4, 1 / 4, 0], [0] * 4, [0] * 4]
# Of the products 0 and 1 in training.
PRODUCT = [[1 / 3, 2 / 3, 0, 0], [2 / 4, 0, 0, 2 / 4], [0] * 4, [0] * 4]
TIES = [1, 1, 0, 1 / 2]  # people 0 and 2; 0 and 1; nobody; 2


def scores(baseline, asked=ASKED):
  return np.asarray(baseline.fit(make_posts(PEOPLE))(asked))


def test_most_popular():
  # Training gave the tags 0, 1 and 3 three, three and two times.
  got = scores(posts_popular.MostPopular())
  np.testing.assert_allclose(got, [[3 / 8, 3 / 8, 0, 2 / 8]] * 4)


@pytest.mark.parametrize(
  ("baseline", "weight"),
  [
    (posts_popular.MostPopularOfPerson(), 1),
    (posts_popular.MostPopularOfProduct(), 0),
    (posts_popular.MostPopularMixture(weight=0.3), 0.3),
  ],
)
def test_most_popular_of_person_and_product(baseline, weight):
  wanted = weight * np.array(OWN) + (1 - weight) * np.array(PRODUCT)
  np.testing.assert_allclose(scores(baseline), wanted, atol=1.01e-5)


def test_ties_go_to_the_tags_of_most_people():
  got = scores(posts_popular.MostPopularOfPerson())
  np.testing.assert_allclose(got[2], 1e-5 * np.array(TIES), rtol=1e-6)
  # Nothing decides between the other tags but that.
  np.testing.assert_allclose(got - got[2], OWN, atol=1e-6)


def test_base_level():
  old, new = 2000**-0.5, 1000**-0.5
  first = np.array([old + new, old, 0, 0])
  older, middle = 3000**-0.5, 2000**-0.5
  second = np.array([older + middle, older, new, 0])
  wanted = np.zeros((4, 4))
  wanted[0] = 0.5 * first / first.sum()
  wanted[1] = 0.5 * second / second.sum()
  wanted += 0.5 * np.array(PRODUCT)
  np.testing.assert_allclose(scores(BaseLevel()), wanted, atol=1.01e-5)


def test_base_level_is_the_softmax_of_logarithms():
  activation = np.log([2000**-0.5 + 1000**-0.5, 2000**-0.5])
  softmax = np.exp(activation) / np.exp(activation).sum()
  got = scores(BaseLevel(weight=1.0))
  np.testing.assert_allclose(got[0, :2], softmax, atol=1.01e-5)


def test_ages_are_seconds_and_at_least_one():
  dataset = make_posts(PEOPLE)
  dataset.events.times[:] = [10, 11, 11, 11, 0, 0, 0, 0]
  tags, ages = posts.EarlierTags(dataset)(ASKED)
  assert tags[0].tolist() == [0, 1, 0, -1]
  assert ages[0].tolist() == [1, 1, 1, 1]
  assert ages[1].tolist() == [1, 1, 1, 1]
  dataset.events.times[:] = [10, 11, 20, 30, 0, 0, 0, 0]
  assert posts.EarlierTags(dataset)(ASKED)[1][1].tolist() == [20, 20, 19, 10]


def test_without_times_the_order_is_the_time():
  dataset = make_posts(PEOPLE)
  dataset.events.times[:] = NO_TIME
  _, ages = posts.EarlierTags(dataset)(ASKED)
  assert ages[:2].tolist() == [[2, 2, 1, 1], [3, 3, 2, 1]]


def test_nobody_tags():
  dataset = make_posts([[(0, []), (1, [])]])
  asked = {name: array[:1] for name, array in ASKED.items()}
  got = BaseLevel().fit(dataset)(asked | {"events": np.array([1])})
  assert np.asarray(got).tolist() == [[0] * 4]


PERSON = st.lists(
  st.tuples(st.integers(-1, 3), st.lists(st.integers(0, 5), max_size=3)),
  max_size=5,
)


@hypothesis.given(st.lists(PERSON, min_size=1, max_size=4))
def test_a_question_knows_what_was_before_it(people):
  """Against loops over all events."""
  dataset = make_posts(people)
  events = [(p, *post) for p, of in enumerate(people) for post in of]
  hypothesis.assume(events)
  asked = {
    "events": np.arange(len(events)),
    "target_ids": np.array([item for _, item, _ in events], np.int32),
  }
  own, _ = posts.EarlierTags(dataset)(asked)
  given_tags, counts = posts.CountedTags(dataset)(asked)
  for number, (person, item, _) in enumerate(events):
    before = [t for p, _, tags in events[:number] if p == person for t in tags]
    assert own[number][own[number] >= 0].tolist() == before
    trained = [
      tag
      for e, (p, i, tags) in enumerate(events)
      for tag in tags
      if i == item and 0 <= i < 3 and tag < 4 and e < dataset.train_ends[p]
    ]
    row, count = given_tags[number], counts[number]
    got = dict(zip(row[row >= 0].tolist(), count[row >= 0], strict=True))
    assert got == {tag: trained.count(tag) for tag in set(trained)}
    assert (count[row < 0] == 0).all()


def test_people_without_events_are_nobodys():
  dataset = make_posts([[], [(0, [0])], [], [(1, [1]), (2, [2])]])
  asked = posts.Asked(dataset)
  people = asked.people({"events": np.array([0, 1, 2, -1])})
  assert people.tolist() == [1, 3, 3, -1]
