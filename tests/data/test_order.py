"""What is cleaned does not depend on how much of it is in memory at a time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagrec_jax.core.errors import UserError
from tagrec_jax.data import event_log, order, spill, store
from tagrec_jax.data.clean import clean
from tagrec_jax.data.prepare import from_cleaned
from tagrec_jax.data.records import Event

texts = st.sampled_from("abcde")
rows = st.tuples(
  *(texts, texts),
  st.none() | st.integers(0, 3),
  st.none() | st.sampled_from([1.0, 5.0]),
  st.lists(texts, max_size=2, unique=True).map(tuple),
  st.dictionaries(st.sampled_from(["device", "city"]), texts),
)
LIMITS = {
  "min_person_events": 2,
  "min_item_events": 2,
  "min_tag_posts": 2,
  "min_rating": 2.0,
}


def in_small_parts(function):
  """What a function gives with a few events at a time, all in files."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(event_log, "_WAITING", 3)
    patch.setattr(spill, "PART", 2)
    patch.setattr(order, "SORTED", 4)
    patch.setattr(spill.Spill.__init__, "__defaults__", (0,))
    return function()


@given(st.lists(rows, max_size=30))
def test_parts_of_events_change_nothing(data_settings, tmp_path_factory, raw):
  settings = data_settings(
    **LIMITS, cache_dir=str(tmp_path_factory.getbasetemp())
  )

  def run():
    try:
      return clean([Event(*row) for row in raw], settings)
    except UserError as error:
      return str(error)

  once, parts = run(), in_small_parts(run)
  if isinstance(once, str):
    assert parts == once
    return
  assert parts.events == once.events
  assert parts.events.people.ids == once.events.people.ids
  assert parts.items == once.items
  assert list(parts.counts.items()) == list(once.counts.items())
  assert parts.rejections == once.rejections


@pytest.mark.parametrize("split", ["leave_one_out", "global_time"])
def test_parts_of_events_give_the_same_files(data_settings, tmp_path, split):
  settings = data_settings(
    split=split, held_out_fraction=0.1, cold_items=0.2, cache_dir=str(tmp_path)
  )
  raw = [
    Event(
      f"p{number * 7 % 11}",
      f"i{number * number % 23}",
      number * 7919 % 101,
      None,
      ("red", "blue")[: number % 3],
      {"device": "phone"} if number % 2 else {},
    )
    for number in range(200)
  ]

  def sums(name: str) -> str:
    dataset = from_cleaned("made", clean(raw, settings), settings)
    store.write(dataset, tmp_path / name)
    return (tmp_path / name / "SHA256SUMS").read_text()

  assert sums("once") == in_small_parts(lambda: sums("parts"))
