"""MovieLens 1M, latest-small, 20M and later releases, from a folder."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator

from tagrec_jax.core.settings import DataSettings
from tagrec_jax.data import values
from tagrec_jax.data.records import Event, Item, Person, Record, Rejection
from tagrec_jax.data.sources import movielens_fields as fields
from tagrec_jax.data.sources.rows import (
  BadRow,
  Row,
  delimited,
  first_layout,
  records,
)
from tagrec_jax.data.sources.tables import csv_rows, jsonl_rows

_RATINGS = {
  "dat": ("movies.dat", "users.dat", "ratings.dat"),
  "csv": ("movies.csv", "ratings.csv"),
  "tidy": ("items.jsonl", "events.csv"),
}
_POSTS = {
  "csv": ("movies.csv", "tags.csv"),
  "tidy": ("items.jsonl", "events.csv"),
}
_DAT_FILM = ("movieId", "title", "genres")
_DAT_PERSON = ("userId", "gender", "age", "occupation", "zip_code")
_CSV_RATING = ("userId", "movieId", "rating", "timestamp")
_TIDY_RATING = ("user_id", "item_id", "rating", "timestamp")


@dataclasses.dataclass(frozen=True)
class MovieLensFolder:
  """Films with genres as tags, and people's ratings or their own tags.

  The layout is told by the files: movies.dat, users.dat and ratings.dat (1M);
  movies.csv and ratings.csv or tags.csv (latest-small, 20M, 25M, 32M);
  items.jsonl and events.csv (latest-small, tidied, where a third of the films
  have a description and a set of keywords by TMDB). What people wrote is never
  a tag of the film itself, or the tags asked for would be given; nor would it
  do for `tag_item`: most films have none, and not because none fits.

  Attributes:
    folder: where the files are.
    posts: False: every rating is an event. True: everything a person wrote on
      a film is one event with tags, at the time of the last of them.
  """

  folder: str
  posts: bool = False

  @classmethod
  def from_settings(cls, settings: DataSettings) -> MovieLensFolder:
    return cls(settings.folder)

  @property
  def name(self) -> str:
    folder = os.path.basename(os.path.abspath(self.folder))
    return f"movielens_{'posts_' if self.posts else ''}{folder}"

  def files(self) -> list[str]:
    """The files of the layout.

    Raises:
      UserError: naming the files looked for.
    """
    return self._find()[1]

  def read(self) -> Iterator[Record]:
    """Films, people where they are described, then events."""
    layout, files = self._find()
    if layout == "dat":
      yield from _read_dat(*files)
      return
    if layout == "csv":
      yield from records(csv_rows(files[0]), _film)
      rows, columns = csv_rows(files[1]), _CSV_RATING
    else:
      yield from records(jsonl_rows(files[0]), _tidy_film)
      rows, columns = _tidy_rows(files[1], self.posts), _TIDY_RATING
    if self.posts:
      taggings = records(rows, lambda row: _tagging(row, columns))
      yield from fields.posts(taggings)
    else:
      yield from records(rows, lambda row: fields.rating_event(row, columns))

  def _find(self) -> tuple[str, list[str]]:
    layouts = _POSTS if self.posts else _RATINGS
    fix = "unpack a release of MovieLens there"
    layout = first_layout(self.folder, layouts, fix)
    return layout, [os.path.join(self.folder, f) for f in layouts[layout]]


class MovieLensPosts(MovieLensFolder):
  """The same films, and what people wrote on them."""

  @classmethod
  def from_settings(cls, settings: DataSettings) -> MovieLensPosts:
    return cls(settings.folder, posts=True)


def _read_dat(films: str, people: str, ratings: str) -> Iterator[Record]:
  yield from records(delimited(films, "::", _DAT_FILM, "latin-1"), _film)
  yield from records(delimited(people, "::", _DAT_PERSON, "latin-1"), _person)
  rows = delimited(ratings, "::", _CSV_RATING, "latin-1")
  yield from records(rows, lambda row: fields.rating_event(row, _CSV_RATING))


def _film(row: Row) -> Item:
  title, numbers = fields.title_and_year(
    row.refusing("title", values.read_text)
  )
  return Item(
    id=row.need("movieId", values.read_id),
    title=title,
    tags=fields.genres(row.refusing("genres", values.read_tags)),
    numbers=numbers,
  )


def _tidy_film(row: Row) -> Item:
  year = row.maybe("year", values.read_number, None)
  keywords: tuple[str, ...] = row.maybe("tmdb_keywords", values.read_tags, ())
  return Item(
    id=row.need("id", values.read_id),
    title=row.maybe("title", values.read_text, ""),
    description=row.maybe("description", values.read_text, ""),
    tags=fields.genres(row.maybe("genres", values.read_tags, ())),
    numbers={} if year is None else {"year": year},
    sets={"keywords": keywords} if keywords else {},
  )


def _person(row: Row) -> Person:
  number = row.need("occupation", values.read_number)
  if number not in range(len(fields.OCCUPATIONS)):
    raise BadRow(row.rejection("occupation", "not a known number"))
  return Person(
    row.need("userId", values.read_id),
    fields.person_categories(
      row.need("age", values.read_number),
      row.refusing("gender", values.read_category),
      fields.OCCUPATIONS[int(number)],
      row.refusing("zip_code", values.read_text),
    ),
  )


def _tidy_rows(path: str, posts: bool) -> Iterator[Row | Rejection]:
  """The rows of one file that hold a tag, or those that hold a rating."""
  for row in csv_rows(path):
    if isinstance(row, Rejection) or bool(row.values.get("tag")) == posts:
      yield row


def _tagging(row: Row, columns: tuple[str, str, str, str]) -> Event:
  person, film, _, time = columns
  tag = row.refusing("tag", values.read_text).strip()
  if not tag:
    raise BadRow(row.rejection("tag", "missing"))
  return Event(
    person=row.need(person, values.read_id),
    item=row.need(film, values.read_id),
    time=row.need(time, values.read_time),
    tags=(tag,),
  )
