"""Codes of products: alike begins alike, and only training decides."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from configs import base
from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import from_dict
from tagrec_jax.data.prepare import prepare
from tagrec_jax.data.sources.storefront import Storefront
from tagrec_jax.data.spec import CODES
from tagrec_jax.models import codes
from tagrec_jax.models.code_vectors import product_vectors

SETTINGS = from_dict(base.get_config().to_dict())
MODEL = dataclasses.replace(SETTINGS.model, code_levels=2, code_size=6)


@pytest.fixture(scope="module")
def shop():
  data = dataclasses.replace(SETTINGS.data, cold_items=0.15)
  source = Storefront(people=150, items=80, tags=6, events_per_person=12)
  made = prepare(source, data)
  assert made.spec.num_new_items
  return made


def made(dataset, *names, seed=0):
  settings = dataclasses.replace(MODEL, code_vectors=names)
  return codes.with_codes(dataset, settings, seed).product[CODES]


def test_k_means_finds_heaps_that_are_apart():
  random = np.random.default_rng(0)
  heaps = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
  rows = np.repeat(heaps, 20, axis=0) + random.normal(size=(60, 2), scale=0.1)
  centers = codes.k_means(rows, 3, random)
  wanted = rows.reshape(3, 20, 2).mean(1)
  order = lambda c: c[np.lexsort(c.T.round(1))]
  np.testing.assert_allclose(order(centers), order(wanted))


def test_no_more_centers_than_different_vectors():
  rows = np.repeat(np.eye(3), 4, axis=0)
  centers = codes.k_means(rows, 8, np.random.default_rng(0))
  assert sorted(map(tuple, centers)) == sorted(map(tuple, np.eye(3)))


def test_each_level_describes_what_the_one_before_left():
  """Two heaps of two: the first code tells the heap, the second the half."""
  rows = np.array([[10.0, 1], [10, 1], [10, -1], [-10, 1], [-10, -1]])
  found = codes.quantised(rows, trained=5, levels=2, size=2, seed=0)
  heap, half = found.T
  assert heap[0] == heap[1] == heap[2] != heap[3] == heap[4]
  assert half[0] == half[1] == half[3] != half[2] == half[4]


def test_rows_after_those_of_training_move_no_center():
  random = np.random.default_rng(1)
  rows = random.normal(size=(40, 5))
  make = lambda rows: codes.quantised(
    rows, trained=30, levels=2, size=4, seed=3
  )
  np.testing.assert_array_equal(make(rows)[:30], make(rows[:30]))
  far = np.concatenate([rows[:30], 100 + rows[30:]])
  np.testing.assert_array_equal(make(far)[:30], make(rows)[:30])


@pytest.mark.parametrize("names", [("events",), ("tags", "numbers"), ("text",)])
def test_products_have_codes_of_their_own(shop, names):
  found, size = made(shop, *names), shop.spec.num_items
  trained = found[:size]
  assert (trained >= 0).all()
  assert trained[:, :2].max() < MODEL.code_size
  coded = found[(found >= 0).all(1)]
  assert len(np.unique(coded, axis=0)) == len(coded)
  new = found[size:]
  if names == ("events",):
    assert (new == UNKNOWN).all()  # nobody took them
  else:
    assert (new >= 0).all()


def test_the_same_every_time_and_another_with_another_seed(shop):
  first = made(shop, "events", "tags")
  np.testing.assert_array_equal(first, made(shop, "events", "tags"))
  other = made(shop, "events", "tags", seed=1)
  assert codes.fingerprint(first) != codes.fingerprint(other)


def test_like_products_begin_alike(shop):
  """Products of the shop have two tags; equal sets have equal codes."""
  found = made(shop, "tags")[: shop.spec.num_items]
  tags = np.sort(shop.product["tags"][: shop.spec.num_items], axis=1)
  same = (tags[:, None] == tags[None]).all(2)
  alike = (found[:, None, :2] == found[None, :, :2]).all(2)
  assert alike[same].all()
  assert not alike.all()


def test_held_out_events_change_nothing(shop):
  events = shop.events
  held_out = np.arange(len(events.items)) >= np.repeat(
    shop.train_ends, np.diff(events.offsets)
  )
  assert held_out.any()
  items = np.where(held_out, events.items[::-1], events.items)
  other = dataclasses.replace(
    shop, events=dataclasses.replace(events, items=items)
  )
  np.testing.assert_array_equal(made(shop, "events"), made(other, "events"))


def test_known_neighbours_are_near(shop):
  vectors, known = product_vectors(shop, ("events",), 0)
  assert known[: shop.spec.num_items].any()
  assert not known[shop.spec.num_items :].any()
  np.testing.assert_allclose(
    np.linalg.norm(vectors[known], axis=1), 1, atol=1e-5
  )


@pytest.mark.parametrize(
  ("names", "message"),
  [
    ((), "code_vectors: found no name"),
    (("tagz",), "found 'tagz', expected some of events, .*tags"),
  ],
)
def test_wrong_names_are_one_line(shop, names, message):
  with pytest.raises(UserError, match=message) as error:
    made(shop, *names)
  assert "\n" not in str(error.value)


def test_vectors_that_tell_nothing_are_refused():
  with pytest.raises(UserError, match="the same vector for all"):
    codes.quantised(np.ones((4, 2)), trained=4, levels=1, size=2, seed=0)
