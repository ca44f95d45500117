from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagrec_jax.data.cold import alike, cold_items, cold_people, cold_tags
from tagrec_jax.data.records import Item

MANY = [str(number) for number in range(2000)]


def test_a_fraction_for_valid_and_again_for_test():
  cold = cold_items([Item(id) for id in MANY], 0.1)
  assert len(cold.valid) == pytest.approx(200, abs=40)
  assert len(cold.test) == pytest.approx(200, abs=40)
  assert not cold.valid & cold.test
  assert sum(id in cold for id in MANY) == len(cold.valid) + len(cold.test)
  assert cold_people(MANY, 0.3).mean() == pytest.approx(0.3, abs=0.04)
  assert len(cold_tags(MANY, 0.3)) == pytest.approx(600, abs=80)


def test_nothing_is_cold_unless_asked_for():
  cold = cold_items([Item(id) for id in MANY], 0.0)
  assert not any(id in cold for id in MANY)
  assert not cold_people(MANY, 0.0).any()
  assert not cold_tags(MANY, 0.0)
  assert cold_people([], 0.5).shape == (0,)


def test_the_choice_is_the_same_everywhere():
  cold = cold_items([Item(id) for id in MANY[:60]], 0.05)
  assert sorted(cold.valid) == GOLDEN_VALID
  assert sorted(cold.test) == GOLDEN_TEST
  assert np.flatnonzero(cold_people(MANY[:60], 0.05)).tolist() == GOLDEN_PEOPLE
  assert sorted(cold_tags(MANY[:60], 0.05)) == GOLDEN_TAGS


GOLDEN_VALID = ["18", "22", "32"]
GOLDEN_TEST = ["28", "4"]
GOLDEN_PEOPLE = [8, 29, 46]
GOLDEN_TAGS = ["13", "16", "25", "26", "34", "41", "43"]


def test_a_larger_fraction_only_adds_people_and_tags():
  assert cold_tags(MANY, 0.1) < cold_tags(MANY, 0.2)


def test_alike_by_group_by_words_and_by_a_chain_of_both():
  items = [
    Item("b", "Nice  cat!"),
    Item("a", "nice", "cat"),
    Item("c", "Other", group="g"),
    Item("d", "nice cat", group="g"),
    Item("e", "Alone"),
    Item("f"),
    Item("g2"),  # nothing is said of it, as of 'f': they are not alike
    Item("h", "雨"),
    Item("i", "雨 。"),
  ]
  assert alike(items) == ["a", "a", "a", "a", "e", "f", "g2", "h", "h"]
  assert alike([]) == []


words = st.sampled_from(["", "x", "X.", "y z", "y  Z", "雨"])


@given(
  st.lists(st.tuples(words, words, st.sampled_from(["", "g", "h"]))),
  st.randoms(use_true_random=False),
)
def test_like_products_stay_together_in_any_order(described, random):
  items = [Item(str(n), *d[:2], group=d[2]) for n, d in enumerate(described)]
  names = dict(zip((i.id for i in items), alike(items), strict=True))
  for a in items:
    for b in items:
      if a.group and a.group == b.group:
        assert names[a.id] == names[b.id]
      if a.title and (a.title, a.description) == (b.title, b.description):
        assert names[a.id] == names[b.id]
  shuffled = random.sample(items, len(items))
  assert dict(zip((i.id for i in shuffled), alike(shuffled), strict=True)) == (
    names
  )
  cold = cold_items(items, 0.4)
  for a in items:
    for b in items:
      if names[a.id] == names[b.id]:
        assert (a.id in cold.valid) == (b.id in cold.valid)
        assert (a.id in cold.test) == (b.id in cold.test)
