"""Columns give back the events that went in."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import numpy as np

from tagrec_jax.data.dataset import NO_TIME
from tagrec_jax.data.event_log import ROW, EventLog
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


@hypothesis.given(ROWS)
def test_a_log_is_a_list_of_its_events(rows):
  events = [Event(*row) for row in rows]
  log = EventLog(events)
  assert log == events
  assert list(log) == events
  assert log[1:3] == events[1:3]
  if events:
    assert log[-1] == events[-1]


@hypothesis.given(ROWS)
def test_rows(rows):
  events = [Event(*row) for row in rows]
  log = EventLog(events)
  found = np.concatenate([np.zeros(0, ROW), *log.parts()])
  assert [log.people[n] for n in found["person"].tolist()] == [
    e.person for e in events
  ]
  assert [log.items[n] for n in found["item"].tolist()] == [
    e.item for e in events
  ]
  times = [NO_TIME if e.time is None else e.time for e in events]
  assert found["time"].tolist() == times
  ratings = np.array([np.nan if e.rating is None else e.rating for e in events])
  np.testing.assert_array_equal(found["rating"], ratings)


def test_what_many_events_say_is_kept_once():
  log = EventLog(Event("a", str(n % 7), n, tags=("new",)) for n in range(100))
  assert len(log.said) == 2
  assert len(log.items) == 7
