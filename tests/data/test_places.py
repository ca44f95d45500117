"""Cells of the earth: by hand, as wide as they say, and told in requests."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.base import get_config
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import from_dict
from tagrec_jax.data import places

latitudes = st.floats(-90, 90)
longitudes = st.floats(-180, 180)
sizes = st.sampled_from([0.5, 5.0, 50.0, 500.0, 5000.0])


def distance(a: tuple[float, float], b: tuple[float, float]) -> float:
  """km along a great circle of a sphere (haversine)."""
  (north, east), (other_north, other_east) = (
    map(math.radians, p) for p in (a, b)
  )
  across = math.cos(north) * math.cos(other_north)
  h = math.sin((other_north - north) / 2) ** 2
  h += across * math.sin((other_east - east) / 2) ** 2
  return 2 * 6371 * math.asin(min(1.0, math.sqrt(h)))


def test_by_hand():
  # 20,015 km from pole to pole are four bands; that from the equator to 45
  # degrees has its middle at 22.5, where 36,983 km around are seven cells.
  assert places.cell(0.0, -180.0, 5000.0) == "2:0"
  assert places.cell(44.9, 0.0, 5000.0) == "2:3"
  assert places.cell(-0.1, 179.9, 5000.0) == "1:6"
  # At the poles all meridians meet, and 180 degrees are one of them.
  assert places.cell(90.0, 180.0, 5000.0) == places.cell(89.0, -180.0, 5000.0)
  assert places.feature(5.0) == "place_5km"
  assert places.feature(0.5) == "place_0.5km"


@given(latitudes, longitudes, longitudes, sizes)
def test_points_of_one_cell_are_near(latitude, east, other, km):
  """The diagonal of a cell, which is widest near the poles, is below 2 km."""
  point = (latitude, east)
  one = places.cell(*point, km)
  for far in (0.3, 1.0, 3.0):
    for way in (-1, 1):
      north = latitude + way * far * km / 111
      if abs(north) <= 90 and places.cell(north, other, km) == one:
        assert distance(point, (north, other)) < 2 * km


def test_cells_are_about_as_large_as_they_say():
  """510 million square km in squares of 2,000 km are 127."""
  found = {
    places.cell(float(latitude), float(longitude), 2000.0)
    for latitude in range(-90, 91, 4)
    for longitude in range(-180, 181, 4)
  }
  assert 120 <= len(found) <= 135


def test_a_request_tells_its_place_in_degrees():
  known = ("device", "place_5km", "place_0.5km")
  context = {"device": "tv", "latitude": "52.5", "longitude": "13.4"}
  assert places.told(context, known, "x") == {"device": "tv"} | places.cells(
    52.5, 13.4, (5.0, 0.5)
  )
  # Where places are not known, it is the caller who says so.
  assert places.told(context, ("device",), "x") == context
  assert places.told({"device": "tv"}, known, "x") == {"device": "tv"}
  # Cells themselves may be told, too.
  cell = {"place_5km": "1:1"}
  assert places.told(cell, known, "x") == cell


@pytest.mark.parametrize(
  ("context", "message"),
  [
    ({"latitude": "1"}, "x: found no longitude, expected both latitude and"),
    ({"longitude": "1"}, "x: found no latitude"),
    (
      {"latitude": "91", "longitude": "1"},
      r"x \[latitude\]: found '91', expected a number from -90 to 90",
    ),
    (
      {"latitude": "1", "longitude": "east"},
      r"x \[longitude\]: found 'east', expected a number from -180 to 180",
    ),
  ],
)
def test_what_is_no_place_is_told(context, message):
  with pytest.raises(UserError, match=message):
    places.told(context, ("place_5km",), "x")


def test_sizes_are_in_range():
  config = get_config()
  config.data.place_km = (5, 50.0)
  assert from_dict(config.to_dict()).data.place_km == (5.0, 50.0)
  config.data.place_km = (5.0, 0.0)
  with pytest.raises(
    UserError, match=r"data.place_km: found 0.0, expected 0.1"
  ):
    from_dict(config.to_dict())
