"""Vectors that are learned, and how they answer."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tagrec_jax.models.baselines import pitf, posts
from tagrec_jax.models.baselines.base_level import BaseLevel
from tests.data.made import make_posts
from tests.models.baselines.test_posts import ASKED, PEOPLE

SMALL = pitf.PITF(
  width=8, learning_rate=0.05, epochs=60, batch=4, negatives=16, decay=1e-3
)


def params(seed=0, width=3, people=3, items=3, tags=4):
  sizes = {
    "person": people,
    "item": items,
    "person_tag": tags,
    "item_tag": tags,
  }
  random = np.random.default_rng(seed)
  return {
    name: jnp.asarray(random.normal(size=(size, width)), jnp.float32)
    for name, size in sizes.items()
  }


def test_scores_are_two_products_of_vectors():
  made = params()
  dataset = make_posts(PEOPLE)
  got = np.asarray(pitf.Factors(made, posts.Asked(dataset))(ASKED))
  host = {name: np.asarray(array) for name, array in made.items()}

  def own(person):
    return host["person_tag"] @ host["person"][person]

  def fits(item):
    return host["item_tag"] @ host["item"][item]

  wanted = [own(0) + fits(0), own(0) + fits(1), own(2), np.zeros(4)]
  np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


def test_the_loss_equals_loops():
  made = params()
  people, items, tags = np.array([[0, 2], [1, 0], [3, 1]])
  of_post = np.array([[3, 0, -1], [1, -1, -1]])
  drawn = np.array([0, 1, 2, 2])
  decay = 0.1
  got = pitf._loss(
    made,
    *(jnp.asarray(a) for a in (people, items, tags, of_post, drawn)),
    decay,
  )
  host = {name: np.asarray(array) for name, array in made.items()}

  def score(row, tag):
    return (
      host["person"][people[row]] @ host["person_tag"][tag]
      + host["item"][items[row]] @ host["item_tag"][tag]
    )

  losses = [
    np.log1p(np.exp(score(row, wrong) - score(row, tags[row])))
    for row in range(2)
    for wrong in drawn
    if wrong not in of_post[row]
  ]
  lengths = np.mean(
    [
      (host["person"][people[row]] ** 2).sum()
      + (host["item"][items[row]] ** 2).sum()
      + (host["person_tag"][tags[row]] ** 2).sum()
      + (host["item_tag"][tags[row]] ** 2).sum()
      for row in range(2)
    ]
  )
  lengths += np.mean(
    [
      (host[name][tag] ** 2).sum() * 2
      for tag in drawn
      for name in ("person_tag", "item_tag")
    ]
  )
  wanted = np.mean(losses) + decay / 2 * lengths
  assert float(got) == pytest.approx(wanted, rel=1e-5)


def test_it_learns_what_it_is_told():
  # Person p gives product i the tags p and 2 + i.
  people = [[(item, [p, 2 + item]) for item in (0, 1)] for p in (0, 1)]
  dataset = make_posts(people, num_items=2, num_tags=4)
  asked = {
    "events": np.arange(4),
    "target_ids": np.array([0, 1, 0, 1], np.int32),
  }
  got = np.asarray(SMALL.fit(dataset)(asked))
  best = np.sort(np.argsort(-got, axis=1)[:, :2], axis=1)
  assert best.tolist() == [[0, 2], [0, 3], [1, 2], [1, 3]]


def test_the_seed_decides():
  dataset = make_posts(PEOPLE)
  first, again = (np.asarray(SMALL.fit(dataset)(ASKED)) for _ in range(2))
  np.testing.assert_array_equal(first, again)
  other = np.asarray(
    pitf.PITF(**{**vars(SMALL), "seed": 1}).fit(dataset)(ASKED)
  )
  assert np.abs(first - other).max() > 0.01


def test_held_out_posts_do_not_train():
  changed = [list(person) for person in PEOPLE]
  changed[0][2:] = [(2, [3, 0, 1]), (2, [3])]
  first, second = (
    SMALL.fit(make_posts(people)).params for people in (PEOPLE, changed)
  )
  jax.tree.map(np.testing.assert_array_equal, first, second)


def test_whoever_is_new_has_no_vector():
  # The only post of the person is held out; product 2 is in none.
  people = [*PEOPLE[:1], [(0, [1]), (1, [2]), (0, [1])]]
  dataset = make_posts(people)
  dataset.train_ends[1] = 4
  made = SMALL.fit(dataset).params
  assert not np.asarray(made["person"][1]).any()
  assert not np.asarray(made["item"][2]).any()
  assert np.asarray(made["person"][0]).any()


def test_nothing_to_learn():
  dataset = make_posts([[(0, [])]])
  asked = {"events": np.array([0]), "target_ids": np.array([0], np.int32)}
  assert np.asarray(SMALL.fit(dataset)(asked)).tolist() == [[0] * 4]


def test_mixed_with_base_level():
  dataset = make_posts(PEOPLE)
  got = pitf.WithBaseLevel(0.25, SMALL, BaseLevel()).fit(dataset)(ASKED)
  likely = jax.nn.softmax(SMALL.fit(dataset)(ASKED), axis=1)
  remembered = BaseLevel().fit(dataset)(ASKED)
  np.testing.assert_allclose(
    np.asarray(got), 0.25 * likely + 0.75 * remembered, rtol=1e-5
  )
