"""Columns give back the events that went in."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import numpy as np

from tagrec_jax.data.dataset import NO_TIME
from tagrec_jax.data.event_log import EventLog
from tagrec_jax.data.records import Event

texts = st.sampled_from(["a", "b", "ü", "00123"])
ROWS = st.lists(
  st.tuples(
    *(texts, texts),
    st.none() | st.integers(0, 2**40),
    st.none() | st.floats(-5, 5),
    st.lists(texts, max_size=2).map(tuple),
    st.dictionaries(texts, texts, max_size=1),
  ),
  max_size=12,
)


@hypothesis.given(ROWS, st.data())
def test_a_log_is_a_list_of_its_events(rows, data):
  events = [Event(*row) for row in rows]
  log = EventLog(events)
  assert log == events
  assert list(log) == events
  assert log[1:3] == events[1:3]
  if events:
    assert log[-1] == events[-1]
  places = st.integers(0, max(len(events) - 1, 0))
  most = 9 if events else 0
  some = np.array(data.draw(st.lists(places, max_size=most)), np.int64)
  assert log.take(some) == [events[place] for place in some]


@hypothesis.given(ROWS)
def test_columns(rows):
  events = [Event(*row) for row in rows]
  log = EventLog(events)
  assert [log.people_ids[n] for n in log.people] == [e.person for e in events]
  assert [log.item_ids[n] for n in log.items] == [e.item for e in events]
  times = [NO_TIME if e.time is None else e.time for e in events]
  assert log.times.tolist() == times
  ratings = np.array([np.nan if e.rating is None else e.rating for e in events])
  np.testing.assert_array_equal(log.ratings, ratings)


def test_events_without_more_are_kept_in_columns_alone():
  log = EventLog(Event("a", str(n % 7), n, 3.0) for n in range(100))
  assert not log.said
  assert len(log.item_ids) == 7
  log.change(5, Event("a", "5", 5, tags=("new",)))
  assert log[5] == Event("a", "5", 5, None, ("new",))
