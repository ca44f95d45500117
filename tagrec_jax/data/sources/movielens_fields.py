"""Fields that the releases of MovieLens write in their own ways.

Source: Harper and Konstan, The MovieLens Datasets, 2015, and the README of
each release.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator

from tagrec_jax.data import values
from tagrec_jax.data.records import Event, Rejection
from tagrec_jax.data.sources.rows import Row

AGE_GROUPS = (
  (18, "under 18"),
  (25, "18-24"),
  (35, "25-34"),
  (45, "35-44"),
  (50, "45-49"),
  (56, "50-55"),
)
"""(first age above, name): the groups that MovieLens 1M publishes."""

OCCUPATIONS = (
  "other",
  "educator",
  "artist",
  "clerical",
  "college student",
  "customer service",
  "doctor",
  "executive",
  "farmer",
  "homemaker",
  "K-12 student",
  "lawyer",
  "programmer",
  "retired",
  "sales",
  "scientist",
  "self-employed",
  "technician",
  "tradesman",
  "unemployed",
  "writer",
)
"""What the numbers in users.dat of MovieLens 1M stand for."""

_NO_GENRE = ("", "unknown", "Unknown", "(no genres listed)")
_YEAR = re.compile(r"\s*\((\d{4})\)(\s*\(V\))?\s*$", re.ASCII)


def title_and_year(text: str) -> tuple[str, dict[str, float]]:
  """'Toy Story (1995)' → 'Toy Story', {'year': 1995.0}.

  A '(V)' behind the year marks a film that never was in cinemas.
  """
  match = _YEAR.search(text)
  if not match:
    return text.strip(), {}
  return text[: match.start()].strip(), {"year": float(match[1])}


def genres(names: Iterable[str]) -> tuple[str, ...]:
  """Genres as tags; the names that mean 'none' are left out."""
  return tuple(dict.fromkeys(n for n in names if n not in _NO_GENRE))


def age_group(age: float) -> str:
  """The group of an age, or of the first age of a group."""
  return next((name for end, name in AGE_GROUPS if age < end), "56 and over")


def region(zip_code: str) -> str:
  """The first digit of a ZIP code tells a part of the United States."""
  first = zip_code.strip()[:1]
  if not first:
    return ""
  return first if first in "0123456789" else "abroad"


def person_categories(
  age: float, gender: str, occupation: str, zip_code: str
) -> dict[str, str]:
  """What is known of a person; what is not given is left out."""
  categories = {
    "age_group": age_group(age),
    "gender": gender,
    "occupation": occupation,
    "region": region(zip_code),
  }
  return {name: value for name, value in categories.items() if value}


def posts(taggings: Iterable[Event | Rejection]) -> Iterator[Event | Rejection]:
  """One event for each person and film, in the order of the first tags.

  It is at the time of the last of its tags, which are in the order of theirs.

  Args:
    taggings: events with a time and one tag.
  """
  given: dict[tuple[str, str], list[Event]] = {}
  for record in taggings:
    if isinstance(record, Rejection):
      yield record
    else:
      given.setdefault((record.person, record.item), []).append(record)
  for post in given.values():
    post.sort(key=lambda tagging: tagging.time or 0)
    tags = dict.fromkeys(tag for tagging in post for tag in tagging.tags)
    yield dataclasses.replace(post[-1], tags=tuple(tags))


def rating_event(row: Row, columns: tuple[str, str, str, str]) -> Event:
  """An event from the columns of person, film, rating and time."""
  person, film, rating, time = columns
  return Event(
    person=row.need(person, values.read_id),
    item=row.need(film, values.read_id),
    rating=row.need(rating, values.read_number),
    time=row.need(time, values.read_time),
  )
