"""Posts and moments on their way from records to a data set."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.base import get_config
from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import DataSettings, from_dict
from tagrec_jax.data.clean import clean
from tagrec_jax.data.cold import cold_items, cold_people, cold_tags
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.extend import extend
from tagrec_jax.data.fingerprint import fingerprint
from tagrec_jax.data.pipeline import TrainBatches
from tagrec_jax.data.posts import PostBatches
from tagrec_jax.data.prepare import from_cleaned
from tagrec_jax.data.questions import question_batches
from tagrec_jax.data.records import Event, Item, Record, Tag
from tagrec_jax.data.sources.folder import Folder
from tagrec_jax.data.spec import TAGS, Feature, Kind, Part
from tests.data.made import SETTINGS


def checked(**changes) -> DataSettings:
  config = get_config()
  config.data.min_person_events = 1
  config.data.update(changes)
  return from_dict(config.to_dict()).data


def prepared(records: list[Record], **changes) -> Dataset:
  data = checked(**changes)
  return from_cleaned("posts", clean(records, data), data)


def posts() -> list[Record]:
  """Of p two events train, of q all, as they are two."""
  return [
    Item("a", "Alpha", tags=("own", "both")),
    Item("b", "Beta"),
    Event("p", "a", 10, tags=("both", "mine"), categories={"device": "phone"}),
    Event("p", "b", 20, categories={"device": "tv", "rare": "once"}),
    Event("p", "b", 30, tags=("mine", "later"), categories={"device": "phone"}),
    Event("p", "a", 40, tags=("last", "own"), categories={"device": "tablet"}),
    Event("q", "b", 15, tags=("mine",), categories={"device": "tv"}),
    Event("q", "a", 16, tags=("q's",), categories={"device": "phone"}),
  ]


def posted(dataset: Dataset) -> list[list[str]]:
  """The names of the tags of each event."""
  names = dataset.all_tags.ids
  assert dataset.events.posted is not None
  return [
    [names[tag] for tag in dataset.events.posted[event]]
    for event in range(len(dataset.events.items))
  ]


def test_by_hand():
  dataset = prepared(posts())
  # Tags of products and of training posts, then those of other posts.
  assert dataset.tags.ids == ("both", "mine", "own", "q's")
  assert dataset.new_tags.ids == ("last", "later")
  assert (dataset.spec.num_tags, dataset.spec.num_new_tags) == (4, 2)
  assert posted(dataset) == [
    ["both", "mine"],
    [],
    ["mine", "later"],
    ["last", "own"],
    ["mine"],
    ["q's"],
  ]
  # The products' own tags are what their owner says.
  np.testing.assert_array_equal(dataset.product[TAGS], [[2, 0], [-1, -1]])
  (feature,) = [f for f in dataset.spec.of(Part.PRODUCT) if f.name == TAGS]
  assert feature == Feature(TAGS, Part.PRODUCT, Kind.ID_SET, 4, 2)
  # 'tv' is met twice in training, 'tablet' and 'once' are not.
  moments = dataset.spec.of(Part.MOMENT)
  assert [f.name for f in moments if f.name != "device"] == [
    "hour",
    "weekday",
    "month",
    "gap",
  ]
  assert Feature("device", Part.MOMENT, Kind.CATEGORY, 2) in moments
  assert list(dataset.events.moment) == ["device"]
  np.testing.assert_array_equal(
    dataset.events.moment["device"], [0, 1, 0, UNKNOWN, 1, 0]
  )
  assert dataset.fingerprint == fingerprint(dataset)


def test_assignments():
  given = prepared(posts()).assignments
  assert given.offsets.tolist() == [0, 6, 8]
  assert given.ends.tolist() == [2, 8]
  assert given.people.tolist() == [0] * 6 + [1] * 2
  assert given.events.tolist() == [0, 0, 2, 2, 3, 3, 4, 5]
  assert given.items.tolist() == [0, 0, 1, 1, 0, 0, 1, 0]
  assert given.times.tolist() == [10, 10, 30, 30, 40, 40, 15, 16]
  assert given.tags.tolist() == [0, 1, 1, 5, 4, 2, 1, 3]
  assert given.trains.tolist() == [True] * 2 + [False] * 4 + [True] * 2


def test_products_that_were_given_a_tag_count():
  dataset = prepared(posts(), min_tag_items=2)
  # 'mine': a by p, b by q; 'both' and 'own' are of one product, whoever says
  # so, and so are the tags of what is held out.
  assert dataset.tags.ids == ("mine",)
  assert dataset.new_tags.ids == ()
  assert posted(dataset) == [["mine"], [], ["mine"], [], ["mine"], []]
  assert dataset.counts["tags left out of posts"] == 5
  assert TAGS not in dataset.product


def test_without_posts_there_is_nothing_of_them():
  plain = [
    dataclasses.replace(r, tags=(), categories={})
    if isinstance(r, Event)
    else r
    for r in posts()
  ]
  dataset = prepared(plain)
  assert dataset.events.posted is None
  assert dataset.events.moment == {}
  assert dataset.tags.ids == ("both", "own")


@pytest.mark.parametrize("name", ["hour", "weekday", "month", "gap"])
def test_a_moment_that_times_tell(name):
  records = [Event("p", i, 1, categories={name: "x"}) for i in "abcde"]
  with pytest.raises(UserError, match=f"category '{name}' of events: found"):
    prepared(records)


def shelf(seed: int, people: int = 12) -> list[Record]:
  random = np.random.default_rng(seed)
  return [
    *(Item(f"{n:02}", f"no{n}", tags=(f"t{n % 5}",)) for n in range(20)),
    *(
      Event(
        f"p{person}",
        f"{random.integers(20):02}",
        1000 * n + person,
        tags=tuple(f"t{t}" for t in random.integers(0, 15, n % 4)),
        categories={"device": f"d{random.integers(4)}"},
      )
      for person in range(people)
      for n in range(8)
    ),
  ]


COLD = {"cold_items": 0.2, "cold_people": 0.2, "cold_tags": 0.2}


@pytest.mark.parametrize("split", ["leave_one_out", "global_time"])
@pytest.mark.parametrize("changes", [{}, COLD])
@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_held_out_teaches_nothing(split, changes, seed):
  """Other tags and devices in what does not train change no row of training."""
  records = shelf(seed)
  one = prepared(records, split=split, **changes)
  trains = np.zeros(len(one.events.items), bool)
  for start, end in zip(one.events.offsets, one.train_ends, strict=False):
    trains[start:end] = True
  known = {
    (one.people.ids[person], int(time))
    for person, time in zip(
      np.repeat(np.arange(len(one.people)), np.diff(one.events.offsets)),
      np.where(trains, one.events.times, UNKNOWN),
      strict=True,
    )
  }
  # Training events of cold products are in no data set; they teach nothing too.
  other = [
    dataclasses.replace(
      record,
      tags=("t3", "held out"),
      categories={"device": "new", "place": "x"},
    )
    if isinstance(record, Event) and (record.person, record.time) not in known
    else record
    for record in records
  ]
  two = prepared(other, split=split, **changes)
  assert one.tags == two.tags
  assert "held out" not in two.tags
  assert "held out" in two.new_tags
  assert one.encodings == two.encodings
  for name, classes in one.events.moment.items():
    np.testing.assert_array_equal(
      classes[trains], two.events.moment[name][trains]
    )
  a, b = (PostBatches(d, SETTINGS, moment=("device",)) for d in (one, two))
  for step in range(3):
    for name, array in a(step).items():
      np.testing.assert_array_equal(array, b(step)[name], err_msg=name)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_is_kept_out_of_training_is_asked_in_no_batch(seed):
  records = shelf(seed)
  dataset = prepared(records, **COLD)
  every = {f"t{n}" for n in range(15)}
  cold = cold_tags(every & {*dataset.all_tags.ids}, 0.2)
  assert cold
  assert cold.isdisjoint(dataset.tags.ids)
  batches = PostBatches(dataset, SETTINGS)
  away = cold_people(dataset.people.ids, 0.2)
  assert away.any()
  items = [record for record in records if isinstance(record, Item)]
  for step in range(round(batches.steps_per_epoch) + 1):
    batch = batches(step)
    assert batch["target_tags"].max() < len(dataset.tags)
    assert batch["product_tags"].max() < len(dataset.tags)
    people = batch["person_ids"][batch["history_segments"] > 0]
    assert not away[people].any()
    met = batch["history_ids"][batch["history_ids"] >= 0]
    assert {dataset.items.ids[row] for row in met}.isdisjoint(
      cold_items(items, 0.2).valid | cold_items(items, 0.2).test
    )


@pytest.mark.parametrize("split", ["leave_one_out", "global_time"])
@pytest.mark.parametrize("changes", [{}, COLD])
def test_valid_trains_when_all_is_chosen(split, changes):
  records = shelf(1)
  chosen = prepared(records, split=split, **changes)
  final = prepared(records, split=split, train_on_valid=True, **changes)
  assert len(final.valid.people) == len(final.valid.events) == 0
  assert final.people == chosen.people
  # The same is asked at the end.
  np.testing.assert_array_equal(chosen.test.people, final.test.people)
  np.testing.assert_array_equal(
    chosen.events.times[chosen.test.events],
    final.events.times[final.test.events],
  )
  away = cold_people(chosen.people.ids, changes.get("cold_people", 0.0))
  asked = np.bincount(chosen.valid.people, minlength=len(away))
  trained, before = (
    d.train_ends - d.events.offsets[:-1] for d in (final, chosen)
  )
  assert (trained[away] == 0).all()
  if not changes:
    np.testing.assert_array_equal(trained - before, asked)
    assert len(final.new_tags) <= len(chosen.new_tags)
    TrainBatches(final, SETTINGS)(0)
  else:  # of cold products nothing trains, so some valid events are left out
    assert (trained - before <= np.where(away, 0, asked)).all()
    assert (trained > before).any()
  assert (final.test.events >= final.train_ends[final.test.people]).all()


def test_when_valid_may_not_train():
  config = get_config()
  config.data.train_on_valid = True
  from_dict(config.to_dict())
  config.train.patience = 3
  with pytest.raises(UserError, match="config.train.patience: found 3"):
    from_dict(config.to_dict())
  from configs import software

  config = software.get_config()
  config.data.train_on_valid = True
  with pytest.raises(UserError, match="train_on_valid: found True with the"):
    from_dict(config.to_dict())


def test_what_is_added_later_moves_the_tags_of_posts():
  dataset = prepared(shelf(1), cold_tags=0.3)
  assert len(dataset.new_tags) > 1
  longer = extend(dataset, [Item("later", tags=("of later",))], [Tag("zero")])
  assert posted(longer) == posted(dataset)
  assert longer.tags.ids[-1] == "zero"
  last = dataset.new_tags.ids[-1]
  longer = extend(dataset, [], [Tag(last)])
  assert posted(longer) == posted(dataset)
  assert longer.tags.ids[-1] == last
  assert longer.fingerprint == fingerprint(longer)


def test_tags_that_only_people_give_can_be_joined_by_others():
  records = [r for r in posts() if not isinstance(r, Item)]
  dataset = prepared(records)
  assert TAGS not in dataset.product
  longer = extend(dataset, [Item("c", "Gamma", tags=("x",))], [Tag("new")])
  assert longer.tags.ids == (*dataset.tags.ids, "new")
  assert posted(longer) == posted(dataset)


def test_a_folder_of_posts(tmp_path):
  (tmp_path / "events.csv").write_text(
    "user_id,item_id,timestamp,tag,context_device\n"
    + "".join(
      f"u{n % 3},i{n % 4},{1000 + n},{'red' if n % 2 else 'blue'},d{n % 2}\n"
      # Two rows of one post.
      + (f"u{n % 3},i{n % 4},{1000 + n},calm,\n" if n % 5 == 0 else "")
      for n in range(30)
    )
  )
  dataset = prepared([*Folder(str(tmp_path)).read()])
  assert dataset.tags.ids == ("blue", "calm", "red")
  assert posted(dataset)[:2] == [["blue", "calm"], ["red"]]
  batch = PostBatches(dataset, SETTINGS, moment=("device", "gap"))(0)
  there = batch["history_segments"] > 0
  red = batch["history_tags"] == 2
  np.testing.assert_array_equal(batch["moment_device"][red], 1)
  assert (batch["moment_gap"][there] >= UNKNOWN).all()
  (batch, *_) = question_batches(
    dataset, dataset.test, SETTINGS, batch_people=3, moment=("device",)
  )
  event = dataset.test.events[batch["question"]]
  np.testing.assert_array_equal(
    batch["moment_device"][np.arange(3), batch["last"]],
    dataset.events.moment["device"][event],
  )


@settings(max_examples=25)
@given(
  st.lists(
    st.tuples(
      st.integers(0, 3),
      st.integers(0, 3),
      st.lists(st.sampled_from("abcde"), max_size=3),
    ),
    min_size=1,
    max_size=30,
  ),
  st.integers(1, 3),
)
def test_no_tag_is_lost_or_made_up(given, least):
  records = [
    Event(f"p{person}", f"i{item}", n, tags=tuple(tags))
    for n, (person, item, tags) in enumerate(given)
  ]
  dataset = prepared(records, min_tag_items=least)
  known = {*dataset.all_tags.ids}
  expected = {
    (event.person, event.time): [
      tag for tag in dict.fromkeys(event.tags) if tag in known
    ]
    for event in records
  }
  people = np.repeat(
    np.arange(len(dataset.people)), np.diff(dataset.events.offsets)
  )
  lost = dataset.counts.get("tags left out of posts", 0)
  every = sum(len(set(event.tags)) for event in records)
  if dataset.events.posted is None:
    assert not any(expected.values())
    assert lost == every
    return
  for event, tags in enumerate(posted(dataset)):
    key = dataset.people.ids[people[event]], int(dataset.events.times[event])
    assert tags == expected[key]
  assert lost == every - sum(map(len, expected.values()))
