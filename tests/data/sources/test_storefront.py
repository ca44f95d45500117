from __future__ import annotations

import collections
import dataclasses
import itertools
import tracemalloc

import numpy as np
import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.data.records import Event, Item, Person
from tagrec_jax.data.sources.storefront import Storefront

SMALL = Storefront(people=300, items=60, tags=5, events_per_person=8, seed=3)

ROOMY = Storefront(people=3000, items=60, tags=5, events_per_person=6, seed=1)
# Two products of each kind: what is bought up changes what comes next.
NARROW = dataclasses.replace(ROOMY, items=20, tags=10, whim=0.2)


def histories(shop: Storefront) -> dict[str, list[Event]]:
  found = collections.defaultdict(list)
  for record in shop.read():
    if isinstance(record, Event):
      found[record.person].append(record)
  return found


def hour(event: Event) -> int:
  assert event.time is not None
  return event.time % 86_400 // 3600


def test_records():
  records = list(SMALL.read())
  assert records == list(SMALL.read())
  kinds = collections.Counter(type(record) for record in records)
  assert kinds == {Item: 60, Person: 300, Event: 300 * 8}
  first = records[0]
  assert isinstance(first, Item)
  assert first.id == SMALL.item_ids[0]
  assert first.title == "Night lamp no. 1"
  assert first.tags == ("lamp", "night")
  assert first.numbers["price"] > 0
  assert list(SMALL.item_ids) == sorted(SMALL.item_ids)
  other = Storefront(people=300, items=60, tags=5, events_per_person=8, seed=4)
  assert records != list(other.read())


def test_time_goes_on_and_nothing_is_bought_twice():
  for events in histories(SMALL).values():
    times = [event.time for event in events]
    assert times == sorted(set(times))
    assert len({event.item for event in events}) == len(events)


def chances(shop: Storefront, taste: int, before: int) -> list[float]:
  """P(each kind | taste, kind before) while there is something of each."""
  kinds = [shop.whim / shop.tags] * shop.tags
  followers = shop.followers[taste, before]
  for kind, chance in zip(followers, shop.chain[taste, before], strict=True):
    kinds[kind] += (1 - shop.whim) * chance
  return kinds


def oracle(shop: Storefront, history: list[int], hour: int) -> np.ndarray:
  """The definition, path by path: every sequence of tastes is summed over."""
  weights = shop.weights(hour)
  stay = 1 - shop.drift + shop.drift / shop.tastes
  leave = shop.drift / shop.tastes
  joint = np.zeros(shop.items)
  for row in set(range(shop.items)) - set(history):
    kind = row % shop.tags
    rivals = [r for r in range(kind, shop.items, shop.tags) if r not in history]
    within = weights[row] / sum(weights[r] for r in rivals)
    path = [*history, row]
    for tastes in itertools.product(range(shop.tastes), repeat=len(path)):
      probability = within / shop.tastes
      for before, now in itertools.pairwise(tastes):
        probability *= stay if before == now else leave
      before = shop.tags
      for place, (taste, now) in enumerate(zip(tastes, path, strict=True)):
        left = set(range(shop.items)) - set(path[:place])
        kinds = chances(shop, taste, before)
        possible = sum(kinds[k] for k in {r % shop.tags for r in left})
        before = now % shop.tags
        probability *= kinds[before] / possible
      # The first taste drifts too, which from an even start changes nothing.
      joint[row] += probability
  return joint / joint.sum()


@pytest.mark.parametrize(
  ("items", "history"),
  [(20, []), (20, [4]), (20, [4, 9, 10]), (6, [1, 4]), (6, [1, 4, 2])],
)
def test_best_scores_equal_the_sum_over_all_paths(items, history):
  # Of six products of three kinds, one kind is soon bought up.
  shop = Storefront(
    items=items, tags=3, events_per_person=3, tastes=2, drift=0.2
  )
  scores = shop.best_scores([shop.item_ids[row] for row in history], hour=9)
  np.testing.assert_allclose(scores.sum(), 1.0)
  np.testing.assert_allclose(scores, oracle(shop, history, 9), rtol=1e-10)


def top(scores: np.ndarray) -> np.ndarray:
  return np.argsort(-scores)[:3]


@pytest.mark.parametrize("shop", [ROOMY, NARROW], ids=["roomy", "narrow"])
def test_the_data_follows_best_scores(shop):
  rows = {id: row for row, id in enumerate(shop.item_ids)}
  hits, expected, wrong_hour, surprise = [], [], [], []
  for events in histories(shop).values():
    *history, last = events
    ids, row = [event.item for event in history], rows[last.item]
    scores = shop.best_scores(ids, hour(last))
    hits.append(row in top(scores))
    expected.append(scores[top(scores)].sum())
    blind = shop.best_scores(ids, (hour(last) + 12) % 24)
    wrong_hour.append(row in top(blind))
    likely = scores[scores > 0]
    surprise.append(np.log(scores[row]) - (likely * np.log(likely)).sum())
  # The recall that is best by Bayes' rule is the one that is seen,
  error = np.sqrt(np.mean(expected) * (1 - np.mean(expected)) / len(hits))
  assert abs(np.mean(hits) - np.mean(expected)) < 3 * error
  assert np.mean(hits) > np.mean(wrong_hour) + 3 * error
  # and what happens is as surprising as the probabilities say.
  error = np.std(surprise) / np.sqrt(len(surprise))
  assert abs(np.mean(surprise)) < 3 * error


def test_history_and_hour_both_matter():
  night, noon = SMALL.best_scores([], 1), SMALL.best_scores([], 13)
  assert SMALL.dayparts[night.argmax()] == 0
  assert SMALL.dayparts[noon.argmax()] == 2
  bought = SMALL.item_ids[7]
  after = SMALL.best_scores([bought], 1)
  assert after[7] == 0
  assert np.abs(after - night).sum() > 0.1


def test_many_kinds_take_little_memory(unchecked_types):
  shop = Storefront(people=11, items=20_000, tags=10_000, events_per_person=10)
  tracemalloc.start()
  people = histories(shop)
  used = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert used < 50 * 2**20  # a [tastes, kinds, kinds] table takes 3 GB
  events = people["person_00"]
  scores = shop.best_scores([e.item for e in events[:-1]], hour(events[-1]))
  np.testing.assert_allclose(scores.sum(), 1.0)


@pytest.mark.parametrize("most", [{"tags": 21}, {"events_per_person": 11}])
def test_a_person_must_not_buy_up_the_shop(most):
  with pytest.raises(UserError, match="shop_items.*found 20.*use 2"):
    Storefront(**{"items": 20, "tags": 5, "events_per_person": 5} | most)


def test_from_settings(data_settings):
  source = Storefront.from_settings(data_settings())
  assert source == Storefront()
  assert source.files() == []
  larger = Storefront.from_settings(
    data_settings(shop_people=7, shop_items=99, shop_tags=9, shop_events=8)
  )
  assert larger == Storefront(7, 99, 9, 8)
