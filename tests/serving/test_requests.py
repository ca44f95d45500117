"""Questions are read as they are written, or refused in one line."""

import dataclasses
import json

import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.serving.requests import (
  Request,
  Taken,
  Titles,
  check,
  read_history,
  read_requests,
)
from tests.serving.made import made_dataset


@pytest.fixture
def titles():
  return Titles(made_dataset())


def lines(path, *values):
  path.write_text("\n".join(json.dumps(value) for value in values))
  return str(path)


def test_a_history_by_title_and_by_id(titles, tmp_path):
  path = lines(
    tmp_path / "history.jsonl",
    {"title": "FILM ONE"},
    {"id": "2", "time": 5},
    {"id": 3},
    {"id": "never seen"},
  )
  assert read_history(path, titles) == (
    Taken("1"),
    Taken("2", 5),
    Taken("3"),
    Taken("never seen"),
  )


def test_an_empty_file_is_an_empty_history(titles, tmp_path):
  path = tmp_path / "nobody.jsonl"
  path.write_text("\n \n")
  assert read_history(str(path), titles) == ()


def test_requests(titles, tmp_path):
  path = lines(
    tmp_path / "requests.jsonl",
    {"person": "a"},
    {"history": [{"title": "Film one"}], "time": 7},
    {"history": [], "context": {"device": "phone", "floor": 2}},
  )
  assert read_requests(path, titles) == [
    Request("a"),
    Request("", (Taken("1"),), 7),
    Request("", (), context={"device": "phone", "floor": "2"}),
  ]


def test_posts_have_a_product_and_tags(titles, tmp_path):
  path = lines(
    tmp_path / "requests.jsonl",
    {"person": "a", "item": 3},
    {"history": [{"id": "2", "tags": ["sad", 7]}], "item": "film ONE"},
  )
  asked = read_requests(path, titles)
  assert asked == [
    Request("a", item="3"),
    Request("", (Taken("2", None, ("sad", "7")),), item="1"),
  ]
  check(asked, posts=True)
  with pytest.raises(UserError, match="request 1: found a product, expected n"):
    check(asked, posts=False)
  untold = [dataclasses.replace(request, item="") for request in asked]
  with pytest.raises(UserError, match="request 2: found tags in the history"):
    check(untold, posts=False)
  with pytest.raises(UserError, match="request 1: found no product"):
    check(untold, posts=True)
  path = lines(tmp_path / "requests.jsonl", {"item": "Film on"})
  with pytest.raises(UserError, match=r"\[item\]: no product is called"):
    read_requests(path, titles)


def test_a_context_is_an_object(titles, tmp_path):
  path = lines(tmp_path / "requests.jsonl", {"context": "phone"})
  with pytest.raises(
    UserError, match=r"\[context\]: found 'phone', expected a"
  ):
    read_requests(path, titles)


@pytest.mark.parametrize(
  ("line", "message"),
  [
    ("{", r":2: Expecting property name"),
    ("[" * 100_000, r":2: maximum recursion depth exceeded"),
    ("3", r":2: found 3, expected a JSON object"),
    ('{"name": "x"}', r":2: unknown key 'name', expected only id, tags, time,"),
    ('{"id": "1", "tags": "sad"}', r"\[tags\]: found 'sad', expected a list"),
    ('{"id": "1", "tags": [["x"]]}', r"\[tags\]: found \['x'\], expected text"),
    ("{}", r":2: found \[\], expected either 'id' or 'title'"),
    ('{"title": "Film on"}', r"did you mean 'film one'"),
    ('{"title": "Twice"}', r"found 'Twice' 2 times.*give the id instead: 4, 5"),
    ('{"id": ["x"]}', r"\[id\]: found \['x'\], expected text"),
    ('{"id": "1", "time": -3}', r"\[time\]: found -3, expected seconds"),
    ('{"id": "1", "time": true}', r"\[time\]: found True"),
  ],
)
def test_a_bad_line_is_named(titles, tmp_path, line, message):
  path = tmp_path / "history.jsonl"
  path.write_text('{"id": "1"}\n' + line)
  with pytest.raises(UserError, match=message):
    read_history(str(path), titles)


def test_a_missing_file_is_named(titles, tmp_path):
  with pytest.raises(UserError, match="nothing.jsonl"):
    read_history(str(tmp_path / "nothing.jsonl"), titles)
