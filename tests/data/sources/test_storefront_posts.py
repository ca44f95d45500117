"""People of the shop tag as `Habits` says, and no ranking of tags is better."""

from __future__ import annotations

import collections
import dataclasses

import numpy as np

from tagrec_jax.data.records import Event
from tagrec_jax.data.sources.storefront import DEVICES, Storefront
from tagrec_jax.data.sources.storefront_posts import Habits

SHOP = Storefront(
  people=1500, items=60, tags=5, events_per_person=6, seed=1, posts=True
)
ROWS = {id: row for row, id in enumerate(SHOP.item_ids)}


def histories() -> list[list[Event]]:
  found = collections.defaultdict(list)
  for record in SHOP.read():
    if isinstance(record, Event):
      found[record.person].append(record)
  return list(found.values())


PEOPLE = histories()


def test_posts():
  assert histories() == PEOPLE
  counts = collections.Counter(len(e.tags) for p in PEOPLE for e in p)
  assert set(counts) == {1, 2, 3}
  assert all(len({*e.tags}) == len(e.tags) for p in PEOPLE for e in p)
  used = {tag for person in PEOPLE for event in person for tag in event.tags}
  assert used == {*SHOP.habits.names}
  assert {e.categories["device"] for p in PEOPLE for e in p} == {*DEVICES}


def test_a_shop_without_posts_says_nothing_of_them():
  shop = dataclasses.replace(SHOP, posts=False)
  events = [r for r in shop.read() if isinstance(r, Event)]
  assert all(not e.tags and not e.categories for e in events)


def slow_chances(habits: Habits, style: int, posts, item: int) -> dict:
  """P(first tag) by the words of the docstring."""
  chances = dict.fromkeys(habits.names, 0.0)
  given = [
    (tag, habits.decay ** (len(posts) - 1 - n))
    for n, (_, tags) in enumerate(posts)
    for tag in tags
  ]
  repeat = habits.repeat if given else 0.0
  for tag, weight in given:
    chances[tag] += repeat * weight / sum(w for _, w in given)
  for tag in habits.own_tags[item]:
    chances[tag] += habits.own / len(habits.own_tags[item])
  for name, chance in zip(habits.names, habits.styles[style], strict=True):
    chances[name] += (1 - repeat - habits.own) * chance
  return chances


def test_best_scores_are_bayes_rule():
  habits = SHOP.habits
  posts = [
    (7, ("cosy", "kettle")),
    (2, ("cosy",)),
    (9, ("odd", "kettle", "morning")),
  ]
  joint = np.zeros(len(habits.names))
  for style in range(len(habits.styles)):
    probability = 1.0
    for number, (item, tags) in enumerate(posts):
      chances = slow_chances(habits, style, posts[:number], item)
      for tag in tags:
        probability *= chances[tag] / sum(chances.values())
        del chances[tag]
    asked = slow_chances(habits, style, posts, 11)
    joint += probability * np.array(list(asked.values()))
  scores = habits.best_scores(posts, 11)
  np.testing.assert_allclose(scores.sum(), 1.0)
  np.testing.assert_allclose(scores, joint / joint.sum(), rtol=1e-10)


def within(errors: float, values: list[float], expected: list[float]) -> bool:
  """Whether the means agree but for so many standard errors."""
  apart = np.array(values) - np.array(expected)
  return abs(apart.mean()) < errors * apart.std() / np.sqrt(len(apart))


def test_tags_follow_best_scores():
  habits, names = SHOP.habits, SHOP.habits.names
  hits, expected, surprise, entropy = [], [], [], []
  for events in PEOPLE:
    *history, last = [(ROWS[event.item], event.tags) for event in events]
    scores = habits.best_scores(history, last[0])
    first = names.index(last[1][0])
    best = np.argsort(-scores)[:5]
    hits.append(float(first in best))
    expected.append(scores[best].sum())
    likely = scores[scores > 0]
    surprise.append(-np.log(scores[first]))
    entropy.append(-(likely * np.log(likely)).sum())
  assert within(3, hits, expected)
  assert within(3, surprise, entropy)
  # History matters: a stranger's tells less.
  strange = [
    habits.best_scores([(ROWS[e.item], e.tags) for e in other[:-1]], 0)
    for other in PEOPLE[1:] + PEOPLE[:1]
  ]
  others = [
    float(names.index(events[-1].tags[0]) in np.argsort(-scores)[:5])
    for events, scores in zip(PEOPLE, strange, strict=True)
  ]
  assert np.mean(hits) > np.mean(others) + 0.1


def test_products_follow_the_device():
  hits, expected, elsewhere = [], [], []
  for events in PEOPLE:
    *history, last = events
    assert last.time is not None
    hour, device = last.time % 86_400 // 3600, last.categories["device"]
    ids, row = [event.item for event in history], ROWS[last.item]
    scores = SHOP.best_scores(ids, hour, device)
    best = np.argsort(-scores)[:3]
    hits.append(float(row in best))
    expected.append(scores[best].sum())
    other = DEVICES[(DEVICES.index(device) + 1) % len(DEVICES)]
    blind = SHOP.best_scores(ids, hour, other)
    elsewhere.append(float(row in np.argsort(-blind)[:3]))
  assert within(3, hits, expected)
  assert np.mean(hits) > np.mean(elsewhere) + 0.1
