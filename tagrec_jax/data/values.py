"""Values as they stand in users' files: what is read, and what is refused.

Every function takes a cell of a file (text from CSV, any value of JSON or
Parquet), gives None or an empty value where nothing stands there, and raises
`BadValue` rather than guess: '1,234.50' is a thousand or one, '12 €' has a
unit, and a time of thirteen digits is probably milliseconds.
"""

from __future__ import annotations

import datetime
import math
import os
import re
from typing import Any

LATEST_TIME = 4_102_444_800
"""2100-01-01 UTC in seconds: times at or after it are refused."""

LARGEST_NUMBER = 1e15
"""Prices and other numbers beyond ± this are refused, not squeezed."""

LONGEST_ID = 1000
"""Characters."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SECONDS = re.compile(r"([+-]?\d{1,19})(\.\d*)?", re.ASCII)
_NOT_IN_IDS = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_LONGEST_CELL = 64  # characters of a number or a time


class BadValue(ValueError):
  """A value that is not used; `reason` is short and constant, to be counted."""

  def __init__(self, reason: str):
    super().__init__(reason)
    self.reason = reason


def id_problem(id: str) -> str:
  """Why this cannot be an id, or ''."""
  if not id:
    return "missing"
  if len(id) > LONGEST_ID:
    return f"longer than {LONGEST_ID} characters"
  if _NOT_IN_IDS.search(id):
    return "holds a control character or a lone surrogate"
  return ""


def time_problem(seconds: int) -> str:
  """Why this cannot be the time of an event, or ''."""
  if 0 <= seconds < LATEST_TIME:
    return ""
  if seconds < 0:
    return "before 1970"
  if seconds // 1000 < LATEST_TIME:
    return "after 2100: are these milliseconds, where seconds are expected?"
  return "after 2100"


def read_id(value: Any) -> str:
  """An id as text, so '00123' stays '00123'; spaces around it are dropped."""
  if isinstance(value, int) and not isinstance(value, bool):
    value = str(value)
  if value is None:
    value = ""
  if not isinstance(value, str):
    raise BadValue("not an id")
  id = value.strip()
  if problem := id_problem(id):
    raise BadValue(problem)
  return id


def read_text(value: Any) -> str:
  """Text as it stands; '' where there is none."""
  if value is None:
    return ""
  if not isinstance(value, str):
    raise BadValue("not text")
  return value


def read_inner_path(value: Any) -> str:
  """The path of a file as seen from its table; '' where there is none.

  A table must not make us open files elsewhere on the machine.
  """
  path = read_text(value)
  if "\0" in path:
    raise BadValue("not a path")
  parts = path.replace("\\", "/").split("/")
  if ".." in parts or os.path.isabs(path) or re.match("[A-Za-z]:", path):
    raise BadValue("outside the folder")
  return path


def read_category(value: Any) -> str:
  """A class as text; numbers and truth values stand for themselves."""
  if value is None:
    return ""
  if isinstance(value, bool):
    return str(value).lower()
  if isinstance(value, float) and math.isnan(value):
    return ""
  if isinstance(value, str | int | float):
    return str(value).strip()
  raise BadValue("not a category")


def read_number(value: Any) -> float | None:
  """A finite number in plain notation: 12, -1.5 or 2e3."""
  if value is None:
    return None
  if isinstance(value, str):
    value = value.strip()
    if not value:
      return None
    if value.lower() in ("nan", "inf", "-inf", "infinity", "-infinity"):
      raise BadValue("not finite")
    if len(value) > _LONGEST_CELL or not _NUMBER.fullmatch(value):
      raise BadValue("not a number")
    value = float(value)
  if isinstance(value, bool) or not isinstance(value, int | float):
    raise BadValue("not a number")
  if isinstance(value, float) and math.isnan(value):
    raise BadValue("not finite")
  if abs(value) > LARGEST_NUMBER:
    raise BadValue("too large")
  return float(value)


def read_positive(value: Any) -> float | None:
  """A number that is not negative, such as a price."""
  number = read_number(value)
  if number is not None and number < 0:
    raise BadValue("negative")
  return number


def read_latitude(value: Any) -> float | None:
  """Degrees north of the equator; south of it they are negative."""
  return _degrees(value, 90)


def read_longitude(value: Any) -> float | None:
  """Degrees east of Greenwich; west of it they are negative."""
  return _degrees(value, 180)


def _degrees(value: Any, most: int) -> float | None:
  number = read_number(value)
  if number is not None and abs(number) > most:
    raise BadValue(f"not in -{most} to {most} degrees")
  return number


def read_time(value: Any) -> int | None:
  """Whole seconds since 1970-01-01 UTC; fractions are dropped.

  Seconds or ISO 8601 ('2024-05-01T12:30:00+02:00', '2024-05-01'); a date
  without a zone is UTC.
  """
  if value is None:
    return None
  if isinstance(value, float) and math.isfinite(value):
    value = math.floor(value)
  if isinstance(value, str):
    value = value.strip()
    if not value:
      return None
    value = _seconds(value)
  if isinstance(value, bool) or not isinstance(value, int):
    raise BadValue("not a time")
  if problem := time_problem(value):
    raise BadValue(problem)
  return value


def _seconds(text: str) -> int:
  # No detour by float, which could not hold every second.
  if match := _SECONDS.fullmatch(text):
    return int(match[1])
  if len(text) > _LONGEST_CELL:
    raise BadValue("not a time")
  try:
    date = datetime.datetime.fromisoformat(text)
    if date.tzinfo is None:
      date = date.replace(tzinfo=datetime.UTC)
    return (date - _EPOCH) // datetime.timedelta(seconds=1)
  except (ValueError, OverflowError):
    raise BadValue("not a time") from None


def read_tags(value: Any) -> tuple[str, ...]:
  """A list, or text parted by '|'; repeated tags count once."""
  if value is None:
    return ()
  members = value.split("|") if isinstance(value, str) else value
  if not isinstance(members, list | tuple):
    raise BadValue("not tags")
  if not all(isinstance(member, str) for member in members):
    raise BadValue("not tags")
  stripped = (member.strip() for member in members)
  return tuple(dict.fromkeys(tag for tag in stripped if tag))
