"""Posts of HetRec MovieLens: one event for a person and a film."""

from __future__ import annotations

import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.data.clean import clean
from tagrec_jax.data.prepare import from_cleaned
from tagrec_jax.data.records import Event, Rejection
from tagrec_jax.data.sources.hetrec_movielens import HetRecMovieLens


def write(folder, train: str, test: str) -> str:
  (folder / "ml_core3_train").write_bytes(train.encode())
  (folder / "ml_core3_test").write_bytes(test.encode())
  return str(folder)


def test_posts(tmp_path, data_settings):
  folder = write(
    tmp_path,
    # The second tag was given first.
    "0\t7\t14\t1188265544999\n0\t7\t15\t1188265543000\n"
    "1\t7\t14\t1000\n0\t8\t14\t1188265545000\n",
    "1\t9\t2\t1999\n0\t7\t3\t1188265546000\n",
  )
  source = HetRecMovieLens.from_settings(data_settings(folder=folder))
  assert list(source.read()) == [
    Event("0", "7", 1188265544, tags=("15", "14")),
    Event("1", "7", 1, tags=("14",)),
    Event("0", "8", 1188265545, tags=("14",)),
    # Of one second with what trains, and a film that trains: still apart.
    Event("1", "9", 1, tags=("2",)),
    Event("0", "7", 1188265546, tags=("3",)),
  ]


def test_bad_rows(tmp_path):
  folder = write(
    tmp_path,
    "0\t7\t14\t1188265544000\n0\t7\t14\n0\t7\t\t1000\n0\t7\t1\tnoon\n"
    "0\t7\t1\t1.5\n0\t7\t1\t1188265544000000\n",
    "",
  )
  *refused, event = HetRecMovieLens(folder).read()
  assert event == Event("0", "7", 1188265544, tags=("14",))
  assert all(isinstance(record, Rejection) for record in refused)
  assert [(r.line, r.field, r.reason) for r in refused] == [
    (2, "", "too few columns"),
    (3, "tag", "missing"),
    (4, "milliseconds", "not milliseconds"),
    (5, "milliseconds", "not milliseconds"),
    (
      6,
      "milliseconds",
      "after 2100: are these milliseconds, where seconds are expected?",
    ),
  ]


def test_missing_files_are_named(tmp_path):
  with pytest.raises(
    UserError, match=r"ml_core3_train \+ ml_core3_test.*GitHub"
  ):
    HetRecMovieLens(str(tmp_path)).files()


def test_the_real_files(data_folder, data_settings, unchecked_types):
  folder = data_folder / "hetrec_movielens_core3"
  if not folder.is_dir():
    pytest.skip(f"no real data: {folder} is not a folder")
  source = HetRecMovieLens(str(folder))
  settings = data_settings(train_on_valid=True)
  dataset = from_cleaned("hetrec", clean(source.read(), settings), settings)
  given = dataset.assignments
  assert (len(dataset.people), dataset.spec.num_items) == (656, 2_376)
  assert (given.trains.sum(), len(given.tags)) == (29_931, 30_808)
  # What is asked is what the publishers ask.
  test = (folder / "ml_core3_test").read_text().splitlines()
  assert {tuple(line.split("\t")[:3]) for line in test} == {
    (
      dataset.people.ids[person],
      dataset.items.ids[dataset.events.items[event]],
      dataset.tags.ids[tag],
    )
    for person, event in zip(
      dataset.test.people, dataset.test.events, strict=True
    )
    for tag in dataset.events.posted[event]
  }
