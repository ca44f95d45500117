from __future__ import annotations

import collections
import pathlib

import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.data.records import Event, Item, Person, Rejection
from tagrec_jax.data.sources import movielens_fields as fields
from tagrec_jax.data.sources.movielens import (
  MovieLensFolder,
  MovieLensPosts,
)

FILMS = [
  Item(
    "1",
    title="Misérables, Les",
    tags=("Drama", "Musical"),
    numbers={"year": 1995.0},
  ),
  Item("2", title="Babylon 5"),
]
RATINGS = [
  Event("1", "2", 978300760, 5.0),
  Event("1", "1", 978302109, 3.5),
]
POSTS = [
  Event("1", "2", 978300770, tags=("space", "epic")),
  Event("2", "2", 978300765, tags=("epic",)),
]


def write(folder: pathlib.Path, encoding: str = "utf-8", **files: str) -> str:
  for name, text in files.items():
    path = folder / name.replace("_", ".")
    path.write_text(text, encoding=encoding)
  return str(folder)


@pytest.fixture
def csv(tmp_path):
  return write(
    tmp_path,
    movies_csv=(
      "movieId,title,genres\n"
      '1,"Misérables, Les (1995)",Drama|Musical\n'
      "2,Babylon 5,(no genres listed)\n"
    ),
    ratings_csv=(
      "userId,movieId,rating,timestamp\n1,2,5.0,978300760\n1,1,3.5,978302109\n"
    ),
    tags_csv=(
      "userId,movieId,tag,timestamp\n"
      "1,2,space,978300760\n2,2,epic,978300765\n"
      "1,2,epic,978300770\n1,2,space,978300761\n1,1,,978300761\n"
    ),
  )


@pytest.fixture
def tidy(tmp_path):
  return write(
    tmp_path,
    items_jsonl=(
      '{"id": "1", "title": "Misérables, Les", "year": 1995, "tags": ["sad"],'
      ' "genres": ["Drama", "Musical"], "tmdb_keywords": []}\n'
      '{"id": "2", "title": "Babylon 5", "year": null, "genres": []}\n'
    ),
    events_csv=(
      "user_id,item_id,timestamp,rating,tag\n"
      "1,2,978300760,5.0,\n1,2,978300760,,space\n2,2,978300765,,epic\n"
      "1,2,978300770,,epic\n1,1,978302109,3.5,\n"
    ),
  )


def test_csv_layout(csv, data_settings):
  source = MovieLensFolder.from_settings(data_settings(folder=csv))
  assert list(source.read()) == FILMS + RATINGS
  assert [pathlib.Path(file).name for file in source.files()] == [
    "movies.csv",
    "ratings.csv",
  ]


def test_csv_posts(csv):
  source = MovieLensFolder(csv, posts=True)
  *good, bad, first, second = source.read()
  assert isinstance(bad, Rejection)
  assert (bad.line, bad.field) == (6, "tag")
  assert [*good, first, second] == FILMS + POSTS


def test_posts_by_name(csv, data_settings):
  source = MovieLensPosts.from_settings(data_settings(folder=csv))
  assert source == MovieLensPosts(csv, posts=True)
  assert source.name != MovieLensFolder(csv).name
  assert [r for r in source.read() if isinstance(r, Event)] == POSTS


def test_keywords(tmp_path):
  folder = write(
    tmp_path,
    items_jsonl='{"id": "1", "title": "Heat", "tmdb_keywords": ["heist"]}\n',
    events_csv="user_id,item_id,timestamp,rating,tag\n",
  )
  (heat,) = MovieLensFolder(folder).read()
  assert heat == Item("1", title="Heat", sets={"keywords": ("heist",)})


def test_tidy_layout(tidy):
  assert list(MovieLensFolder(tidy).read()) == FILMS + RATINGS
  assert list(MovieLensFolder(tidy, posts=True).read()) == FILMS + POSTS


def test_dat_layout(tmp_path):
  folder = write(
    tmp_path,
    encoding="latin-1",
    movies_dat=(
      "1::Misérables, Les (1995)::Drama|Musical\n2::Babylon 5::unknown\n"
    ),
    users_dat="1::F::1::10::48067\n2::M::56::16::70072\n3::M::56::99::70072\n",
    ratings_dat="1::2::5::978300760\n1::1::3.5::978302109\n",
  )
  *good, rejection, first, second = MovieLensFolder(folder).read()
  assert good[:2] == FILMS
  assert good[2:] == [
    Person(
      "1",
      {
        "age_group": "under 18",
        "gender": "F",
        "occupation": "K-12 student",
        "region": "4",
      },
    ),
    Person(
      "2",
      {
        "age_group": "56 and over",
        "gender": "M",
        "occupation": "self-employed",
        "region": "7",
      },
    ),
  ]
  assert isinstance(rejection, Rejection)
  assert (rejection.line, rejection.field) == (3, "occupation")
  assert [first, second] == RATINGS


def test_no_layout_names_the_files(tmp_path):
  with pytest.raises(UserError) as caught:
    MovieLensFolder(str(tmp_path)).files()
  assert (
    "movies.dat + users.dat + ratings.dat or movies.csv + ratings.csv or "
    "items.jsonl + events.csv"
  ) in str(caught.value)


def test_latest_small(data_folder, unchecked_types):
  folder = str(data_folder / "ml_latest_small")
  records = list(MovieLensFolder(folder, posts=True).read())
  kinds = collections.Counter(type(record) for record in records)
  assert kinds == {Item: 9_742, Event: 1_775}
  tags = [tag for r in records if isinstance(r, Event) for tag in r.tags]
  assert len(tags) == 3_683


@pytest.mark.parametrize(
  ("text", "title", "year"),
  [
    ("Toy Story (1995)", "Toy Story", 1995.0),
    ("Land Before Time III (1995) (V)", "Land Before Time III", 1995.0),
    ("Death Note (2006-2007)", "Death Note (2006-2007)", None),
    ("2001", "2001", None),
    ("Seven (a.k.a. Se7en) (1995) ", "Seven (a.k.a. Se7en)", 1995.0),
  ],
)
def test_title_and_year(text, title, year):
  numbers = {} if year is None else {"year": year}
  assert fields.title_and_year(text) == (title, numbers)


@pytest.mark.parametrize(
  ("age", "group"),
  [
    (7, "under 18"),
    (17, "under 18"),
    (18, "18-24"),
    (49, "45-49"),
    (50, "50-55"),
    (55, "50-55"),
    (56, "56 and over"),
  ],
)
def test_age_group(age, group):
  assert fields.age_group(float(age)) == group


def test_region():
  assert [fields.region(z) for z in ("02139", "V5A", "")] == ["0", "abroad", ""]
