"""MovieLens 100K: 943 people, 1,682 films, 100,000 ratings."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator

from tagrec_jax.core.settings import DataSettings
from tagrec_jax.data import values
from tagrec_jax.data.records import Event, Item, Person, Record
from tagrec_jax.data.sources import movielens_fields as fields
from tagrec_jax.data.sources import recbole_wheel
from tagrec_jax.data.sources.rows import Row, delimited, first_layout, records

_LAYOUTS = {
  "recbole": ("ml-100k.item", "ml-100k.user", "ml-100k.inter"),
  "grouplens": ("u.item", "u.user", "u.data"),
}

# The columns of u.item behind the address are one flag for each of these.
_GENRES = (
  "unknown",
  "Action",
  "Adventure",
  "Animation",
  "Children's",
  "Comedy",
  "Crime",
  "Documentary",
  "Drama",
  "Fantasy",
  "Film-Noir",
  "Horror",
  "Musical",
  "Mystery",
  "Romance",
  "Sci-Fi",
  "Thriller",
  "War",
  "Western",
)
_ITEM = ("item_id", "movie_title", "release", "video_release", "address")
_USER = ("user_id", "age", "gender", "occupation", "zip_code")
_RATING = ("user_id", "item_id", "rating", "timestamp")
_NO_TITLE = ("unknown", "unkonwn")  # the second as RecBole spells it


@dataclasses.dataclass(frozen=True)
class MovieLens100K:
  """Films with genres as tags, people with age, gender, occupation, region.

  Attributes:
    folder: where ml-100k.item, .user and .inter are, as RecBole writes them, or
      u.item, u.user and u.data of GroupLens; '': from the wheel of RecBole on
      PyPI, once, into the cache. Nothing in the wheel is run.
    cache_dir: of downloads; '': ~/.cache/tagrec_jax.
  """

  folder: str = ""
  cache_dir: str = ""

  @classmethod
  def from_settings(cls, settings: DataSettings) -> MovieLens100K:
    return cls(settings.folder, settings.cache_dir)

  @property
  def name(self) -> str:
    return "movielens_100k"

  def files(self) -> list[str]:
    """The three files, downloaded if they have to be.

    Raises:
      UserError: if the folder does not hold them.
      StorageError: if they cannot be downloaded.
    """
    return list(self._find()[1])

  def read(self) -> Iterator[Record]:
    """Films, people, then ratings."""
    layout, (films, people, ratings) = self._find()
    if layout == "recbole":
      yield from records(delimited(films, "\t"), _recbole_film)
      yield from records(delimited(people, "\t"), _person)
      yield from records(delimited(ratings, "\t"), _rating)
    else:
      columns = (*_ITEM, *_GENRES)
      rows = delimited(films, "|", columns, encoding="latin-1")
      yield from records(rows, _grouplens_film)
      yield from records(delimited(people, "|", _USER), _person)
      yield from records(delimited(ratings, "\t", _RATING), _rating)

  def _find(self) -> tuple[str, tuple[str, ...]]:
    folder = self.folder or recbole_wheel.movielens_100k(self.cache_dir)
    layout = first_layout(
      folder,
      _LAYOUTS,
      "unpack ml-100k.zip of GroupLens there, or leave the folder empty",
    )
    return layout, tuple(os.path.join(folder, f) for f in _LAYOUTS[layout])


def _recbole_film(row: Row) -> Item:
  names = row.maybe("class", values.read_text, "")
  film = _film(row, names.split(" "))
  released = row.values.get("release_year", "")
  if not film.numbers and released.isdecimal():
    return dataclasses.replace(film, numbers={"year": float(released)})
  return film


def _grouplens_film(row: Row) -> Item:
  return _film(row, [name for name in _GENRES if row.values[name] == "1"])


def _film(row: Row, genre_names: list[str]) -> Item:
  title, numbers = fields.title_and_year(
    row.maybe("movie_title", values.read_text, "")
  )
  return Item(
    id=row.need("item_id", values.read_id),
    title="" if title in _NO_TITLE else title,
    tags=fields.genres(genre_names),
    numbers=numbers,
  )


def _person(row: Row) -> Person:
  return Person(
    row.need("user_id", values.read_id),
    fields.person_categories(
      row.need("age", values.read_number),
      row.refusing("gender", values.read_category),
      row.refusing("occupation", values.read_category),
      row.refusing("zip_code", values.read_text),
    ),
  )


def _rating(row: Row) -> Event:
  return fields.rating_event(row, _RATING)
