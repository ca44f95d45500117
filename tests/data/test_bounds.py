"""Row numbers that point outside a table are found before any device is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.data.bounds import check_rows
from tagrec_jax.data.spec import Feature, Kind, Part
from tests.data.made import BY_HAND, make_posts

POSTS = make_posts(BY_HAND)  # 3 products and one new, 4 tags and two new


def with_events(**changes):
  events = dataclasses.replace(POSTS.events, **changes)
  return dataclasses.replace(POSTS, events=events)


def changed(array, value, dtype=None):
  copy = array.astype(dtype or array.dtype)
  copy[1] = value
  return copy


def test_what_is_right_passes():
  check_rows(POSTS)


@pytest.mark.parametrize("value", [-2, 4, 2**31 - 1])
def test_a_product_that_does_not_exist(value):
  data = with_events(items=changed(POSTS.events.items, value))
  with pytest.raises(UserError) as error:
    check_rows(data)
  assert str(error.value).startswith(
    f"data 'posts' [events]: found {value} at 1, and 0 more, expected -1 to 3"
  )


def test_a_number_of_64_bits_is_not_cut():
  items = changed(POSTS.events.items, 2**40 + 3, np.int64)
  with pytest.raises(UserError, match=f"found {2**40 + 3} at 1"):
    check_rows(with_events(items=items))
  with pytest.raises(UserError, match="found float64, expected whole"):
    check_rows(with_events(items=items.astype(float)))


@pytest.mark.parametrize(
  ("kind", "size", "good"),
  [
    (Kind.CATEGORY, 3, True),
    (Kind.CATEGORY, 2, False),
    (Kind.NUMBER, 0, True),
  ],
)
def test_classes_of_people(kind, size, good):
  feature = Feature("group", Part.PERSON, kind, size)
  spec = dataclasses.replace(POSTS.spec, features=(feature,))
  data = dataclasses.replace(POSTS, spec=spec)
  if good:
    check_rows(data)
    return
  with pytest.raises(UserError, match=r"\[group\]: found 2 at 2"):
    check_rows(data)


def test_tags_of_posts():
  tags = dataclasses.replace(
    POSTS.events.posted, values=changed(POSTS.events.posted.values, 6)
  )
  with pytest.raises(UserError, match=r"\[posts\]: found 6"):
    check_rows(with_events(posted=tags))
