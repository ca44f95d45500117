"""Where something is: cells of a grid on the earth, as classes.

A grid is told by one length. The earth is cut along parallels into bands about
as wide, and each band along meridians into cells about as wide at its middle.
So cells are alike from the equator to the poles, and of two grids the coarser
one knows what is too rare for the finer one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from tagrec_jax.core.errors import UserError
from tagrec_jax.data import values

LATITUDE, LONGITUDE = COLUMNS = "latitude", "longitude"
"""Columns of tables, and keys of a request's context, in degrees."""

_AROUND = 2 * math.pi * 6371.0  # km, of a sphere
_NAME = re.compile(r"place_([\d.]+)km")


def feature(km: float) -> str:
  """The name of the feature whose classes are cells of this size."""
  return f"place_{km:g}km"


def cell(latitude: float, longitude: float, km: float) -> str:
  """The cell that holds a point, such as '284:1893'.

  Args:
    latitude: degrees north, -90 to 90.
    longitude: degrees east, -180 to 180, which are the same meridian.
    km: about the side of a cell.
  """
  bands = max(1, round(_AROUND / 2 / km))
  band = min(int((latitude + 90) / 180 * bands), bands - 1)
  middle = math.radians((band + 0.5) / bands * 180 - 90)
  cells = max(1, round(_AROUND * math.cos(middle) / km))
  return f"{band}:{int((longitude + 180) / 360 * cells) % cells}"


def cells(
  latitude: float, longitude: float, sizes: Iterable[float]
) -> dict[str, str]:
  """Feature → the cell that holds a point, for grids of these sizes in km."""
  return {feature(km): cell(latitude, longitude, km) for km in sizes}


def told(
  context: Mapping[str, str], known: Iterable[str], where: str
) -> dict[str, str]:
  """A context in which latitude and longitude have become cells.

  Args:
    known: names of features; where no place is among them nothing changes.

  Raises:
    UserError: if one of the two is missing or is no place on the earth.
  """
  sizes = [float(m[1]) for m in map(_NAME.fullmatch, known) if m]
  if not sizes or not set(COLUMNS) & context.keys():
    return dict(context)
  rest = {name: v for name, v in context.items() if name not in COLUMNS}
  point = []
  for column, read, most in (
    (LATITUDE, values.read_latitude, 90),
    (LONGITUDE, values.read_longitude, 180),
  ):
    try:
      degrees = read(context.get(column))
    except values.BadValue:
      raise UserError(
        f"{where} [{column}]",
        f"found '{context[column]}'",
        f"a number from -{most} to {most}",
      ) from None
    if degrees is None:
      raise UserError(
        where, f"found no {column}", f"both {LATITUDE} and {LONGITUDE}"
      )
    point.append(degrees)
  return rest | cells(point[0], point[1], sizes)
