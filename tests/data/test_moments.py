from __future__ import annotations

import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.data.dataset import NO_TIME
from tagrec_jax.data.moments import (
  MOMENT_FEATURES,
  MOMENT_SIZES,
  moment_features,
)

# The years 1 to 9999, as far as datetime reaches.
seconds = st.integers(-62_135_596_800, 253_402_300_799)


def moments(*pairs):
  times, previous = np.array(pairs, np.int64).T
  found = moment_features(MOMENT_SIZES, times, previous)
  return {name: classes.tolist() for name, classes in found.items()}


def test_by_hand():
  # Tuesday 2000-02-29 23:59:59 UTC, a second after the person's last event.
  assert moments((951_868_799, 951_868_798)) == {
    "hour": [23],
    "weekday": [1],
    "month": [1],
    "gap": [1],
  }


def test_times_that_are_not_known():
  assert moments((NO_TIME, NO_TIME), (NO_TIME, 5), (5, NO_TIME)) == {
    "hour": [UNKNOWN, UNKNOWN, 0],
    "weekday": [UNKNOWN, UNKNOWN, 3],
    "month": [UNKNOWN, UNKNOWN, 0],
    "gap": [UNKNOWN, UNKNOWN, UNKNOWN],
  }


@given(seconds)
def test_agrees_with_the_calendar(time):
  found = moments((time, NO_TIME))
  date = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=time)
  assert found["hour"] == [date.hour]
  assert found["weekday"] == [date.weekday()]
  assert found["month"] == [date.month - 1]


@pytest.mark.parametrize(
  ("gap", "expected"),
  [
    (-5, 0),  # out of order: no gap
    (0, 0),
    (1, 1),
    (2, 2),
    (3, 2),
    (2**20 - 1, 20),
    (2**20, 21),
    (2**30, 31),
    (2**40, 31),
  ],
)
def test_gap_is_a_power_of_two(gap, expected):
  assert moments((10**9 + gap, 10**9))["gap"] == [expected]


@given(st.integers(-(2**62), 2**62), st.integers(-(2**62), 2**62))
def test_always_a_class_of_the_table(time, previous):
  for name, values in moments((time, previous)).items():
    assert 0 <= values[0] < MOMENT_SIZES[name]


def test_any_shape():
  times = np.zeros((2, 3), np.int64)
  found = moment_features(MOMENT_SIZES, times, times)
  assert set(found) == {f.name for f in MOMENT_FEATURES}
  assert all(v.shape == (2, 3) and v.dtype == np.int32 for v in found.values())


def test_only_what_is_asked_for():
  times = np.zeros(2, np.int64)
  assert list(moment_features(("gap", "hour"), times, times)) == ["gap", "hour"]
  assert moment_features((), times, times) == {}
