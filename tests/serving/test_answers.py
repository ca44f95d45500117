"""A request is asked as an evaluation question is, and answered in names."""

import dataclasses

import numpy as np
import pytest

from configs import base
from tagrec_jax.core.axes import BEGIN, UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import from_dict
from tagrec_jax.data.encodings import Encoding
from tagrec_jax.data.spec import Feature, Kind, Part
from tagrec_jax.data.vocab import Vocabulary
from tagrec_jax.serving.answers import Recommender
from tagrec_jax.serving.requests import Request, Taken
from tests.serving.made import made_dataset

SETTINGS = from_dict(base.get_config().to_dict())
SETTINGS = dataclasses.replace(
  SETTINGS,
  model=dataclasses.replace(
    SETTINGS.model, moment=("hour",), person=("gender",)
  ),
)


class After:
  """A model whose best film is the one after the last that was read."""

  def __init__(self):
    self.batches = []

  def __call__(self, batch):
    self.batches.append(batch)
    rows = np.arange(len(batch["last"]))
    read = batch["history_ids"][rows, batch["last"]]
    distance = np.arange(5)[None] - np.maximum(read, UNKNOWN)[:, None] - 1
    tags = np.tile(np.float32([1, 3]), (len(rows), 1))
    return {"items": -np.abs(distance).astype(np.float32), "tags": tags}


@pytest.fixture
def model():
  return After()


@pytest.fixture
def recommender(model):
  return Recommender(model, made_dataset(), SETTINGS)


def test_a_known_person_is_answered_from_all_events(recommender):
  (answer,) = recommender.answer([Request("a")], targets=("items", "tags"), k=2)
  assert answer == {
    "person": "a",
    "history": ["Film one", "Film two"],
    "unknown": [],
    "items": [
      {"id": "3", "title": "Film three", "score": 0.0},
      {"id": "4", "title": "Twice", "score": -1.0},
    ],
    "tags": [{"tag": "sad", "score": 3.0}, {"tag": "funny", "score": 1.0}],
  }


def test_a_new_person_and_nobody(recommender, model):
  new = Request(history=(Taken("2", 3600 * 5), Taken("new")), time=3600 * 7)
  answers = list(recommender.answer([new, Request(history=())], k=1))
  assert answers[0]["unknown"] == ["new"]
  assert answers[1]["items"][0]["id"] == "1"
  (batch,) = model.batches
  nobody, new = np.argsort(-batch["question"])
  np.testing.assert_array_equal(
    batch["history_ids"][new, :3], [BEGIN, 1, UNKNOWN]
  )
  assert batch["moment_hour"][new, batch["last"][new]] == 7
  assert batch["moment_hour"][nobody, batch["last"][nobody]] == UNKNOWN
  assert (batch["person_gender"] == UNKNOWN).all()


def test_person_features_follow_the_person(recommender, model):
  list(recommender.answer([Request("b"), Request("a")]))
  (batch,) = model.batches
  rows = np.argsort(batch["question"])
  np.testing.assert_array_equal(
    batch["person_gender"][rows, batch["last"][rows]], [0, 1]
  )


def test_what_else_is_known_of_the_moment(model):
  device = Feature("device", Part.MOMENT, Kind.CATEGORY, 2)
  plain = made_dataset()
  told = {"device": np.array([0, 1, 1, 0, 0], np.int32)}
  dataset = dataclasses.replace(
    plain,
    events=dataclasses.replace(plain.events, moment=told),
    encodings=(Encoding(device, Vocabulary(["phone", "tablet"])),),
  )
  settings = dataclasses.replace(
    SETTINGS, model=dataclasses.replace(SETTINGS.model, moment=("device",))
  )
  recommender = Recommender(model, dataset, settings)
  asked = [
    Request("a", context={"device": "tablet"}),
    Request(history=(Taken("1"),), context={"device": "phone"}),
    Request(history=(Taken("1"),), context={"device": "never met"}),
  ]
  list(recommender.answer(asked))
  (batch,) = model.batches
  rows = np.argsort(batch["question"])
  np.testing.assert_array_equal(
    batch["moment_device"][rows, :3], [[0, 1, 1], [-1, 0, -1], [-1, -1, -1]]
  )
  with pytest.raises(UserError, match="context: found 'divice', expected one"):
    list(recommender.answer([Request("a", context={"divice": "tablet"})]))


@pytest.mark.parametrize("size", [1, 2, 3, 50])
def test_answers_come_in_the_order_of_requests(model, size):
  settings = dataclasses.replace(
    SETTINGS,
    evaluation=dataclasses.replace(SETTINGS.evaluation, batch_people=size),
  )
  recommender = Recommender(model, made_dataset(), settings)
  # The best is what comes after the last of 4, 1, 3, 0 and 2 films.
  lengths = [4, 1, 3, 0, 2]
  asked = [
    Request(history=tuple(Taken(str(1 + n)) for n in range(length)))
    for length in lengths
  ]
  best = [a["items"][0]["id"] for a in recommender.answer(asked, k=1)]
  assert best == [str(1 + length) for length in lengths]


def test_no_request_has_no_answer(recommender):
  assert list(recommender.answer([])) == []


def test_seen_films_come_back_only_when_asked_for(recommender):
  for exclude, expected in ((True, ["3", "4", "5"]), (False, ["3", "2", "4"])):
    (answer,) = recommender.answer([Request("a")], k=3, exclude_seen=exclude)
    assert [item["id"] for item in answer["items"]] == expected


def test_a_list_ends_where_the_catalogue_does(recommender):
  (answer,) = recommender.answer([Request("a")], k=50)
  assert [item["id"] for item in answer["items"]] == ["3", "4", "5"]


def test_an_unknown_person_without_history_is_told(recommender):
  with pytest.raises(UserError, match="'zoe' is not in the data set"):
    list(recommender.answer([Request("zoe")]))
