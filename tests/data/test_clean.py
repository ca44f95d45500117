from __future__ import annotations

import collections
import dataclasses
import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagrec_jax.core.errors import UserError
from tagrec_jax.data.clean import KEPT_REJECTIONS, Cleaned, clean
from tagrec_jax.data.records import Event, Item, Person, Rejection, Tag
from tagrec_jax.data.sources.amazon_s3rec import S3Rec
from tagrec_jax.data.sources.hetrec_movielens import HetRecMovieLens


@pytest.fixture(scope="session")
def run(data_settings):
  return lambda raw, **changes: clean(raw, data_settings(**changes))


def records(cleaned: Cleaned):
  return itertools.chain(
    cleaned.items.values(),
    cleaned.tags.values(),
    cleaned.people.values(),
    cleaned.events,
  )


ids = st.sampled_from("abcde")
texts = st.text(max_size=5)
event_fields = st.fixed_dictionaries(
  {
    "person": ids,
    "item": ids,
    "time": st.none() | st.integers(-2, 4),
    "rating": st.none() | st.sampled_from([1.0, 3.0, 5.0]),
    "tags": st.lists(texts, max_size=2).map(tuple),
    "categories": st.dictionaries(st.just("device"), texts),
  }
)
item_fields = st.fixed_dictionaries(
  {
    "id": ids | texts,
    "title": texts,
    "tags": st.lists(texts, max_size=2).map(tuple),
    "numbers": st.dictionaries(st.just("price"), st.floats()),
    "categories": st.dictionaries(st.just("brand"), texts),
    "sets": st.dictionaries(
      st.just("specs"), st.lists(texts, max_size=2).map(tuple)
    ),
    "group": texts,
  }
)
tag_fields = st.fixed_dictionaries({"id": texts, "description": texts})
refused = {"file": "f", "line": 1, "field": "price", "reason": "bad"}
# Records are made in the tests: beartype's checks of them draw at random,
# which a strategy must not do.
recipes = st.one_of(
  st.tuples(st.just(Event), event_fields),
  st.tuples(st.just(Item), item_fields),
  st.tuples(st.just(Tag), tag_fields),
  st.tuples(st.just(Person), st.fixed_dictionaries({"id": ids})),
  st.just((Rejection, refused)),
)
limits = st.fixed_dictionaries(
  {
    "min_rating": st.sampled_from([0.0, 3.0]),
    "min_person_events": st.integers(1, 3),
    "min_item_events": st.integers(1, 3),
  }
)


@given(st.lists(recipes, max_size=40), limits)
def test_cleaning_again_changes_nothing(run, recipe, limits):
  raw = [make(**fields) for make, fields in recipe]
  try:
    once = run(raw, **limits)
  except UserError:  # nothing is left
    return
  again = run(records(once), **limits)
  assert again.events == once.events
  assert again.items == once.items
  assert again.tags == once.tags
  assert again.people == once.people
  assert again.counts == {}


@given(st.lists(st.tuples(ids, ids), min_size=1, max_size=40), limits)
def test_agrees_with_a_slow_k_core(run, pairs, limits):
  raw = [Event(person, item) for person, item in pairs]
  left = raw
  while True:
    persons = collections.Counter(e.person for e in left)
    products = collections.Counter(e.item for e in left)
    smaller = [
      e
      for e in left
      if persons[e.person] >= limits["min_person_events"]
      and products[e.item] >= limits["min_item_events"]
    ]
    if len(smaller) == len(left):
      break
    left = smaller
  if not left:
    with pytest.raises(UserError):
      run(raw, **limits)
    return
  found = [(e.person, e.item) for e in run(raw, **limits).events]
  by_person = sorted(left, key=lambda e: e.person)
  assert found == [(e.person, e.item) for e in by_person]


posts = st.lists(
  st.tuples(ids, ids, st.lists(st.sampled_from("xyz"), max_size=3)),
  min_size=1,
  max_size=30,
)


@given(posts, limits, st.integers(2, 3))
def test_agrees_with_a_slow_p_core(run, posts, limits, least):
  """A post that loses all of its tags goes; an event without any stays."""
  raw = [
    Event(person, item, number, tags=tuple(dict.fromkeys(tags)))
    for number, (person, item, tags) in enumerate(posts)
  ]
  left, before = raw, None
  while left != before:
    before = left
    persons = collections.Counter(e.person for e in left)
    products = collections.Counter(e.item for e in left)
    given = collections.Counter(tag for e in left for tag in e.tags)
    kept = [
      (e, tuple(tag for tag in e.tags if given[tag] >= least))
      for e in left
      if persons[e.person] >= limits["min_person_events"]
      and products[e.item] >= limits["min_item_events"]
    ]
    left = [
      dataclasses.replace(e, tags=tags)
      for e, tags in kept
      if tags or not e.tags
    ]
  if not left:
    with pytest.raises(UserError):
      run(raw, **limits, min_tag_posts=least)
    return
  found = run(raw, **limits, min_tag_posts=least)
  assert found.events == sorted(left, key=lambda e: (e.person, e.time))
  assert run(found.events, **limits, min_tag_posts=least).events == found.events


def test_order_is_by_person_then_time_then_file(run):
  raw = [
    Event("b", "1", 5),
    Event("a", "2", 9),
    Event("b", "3", 4),
    Event("a", "4", 9),
    Event("a", "5", 9),
    Event("a", "6", 8),
    Event("B", "7", 1),
  ]
  assert [e.item for e in run(raw).events] == list("7624531")


def test_seconds_are_not_lost(run):
  # As float32 the two times are equal and would stay in this order.
  raw = [Event("a", "late", 964980499), Event("a", "early", 964980498)]
  assert [e.item for e in run(raw).events] == ["early", "late"]


def test_repeated_events_become_one_with_all_tags(run):
  raw = [
    Event("a", "1", 7, None, ("fun",), {"device": "phone"}),
    Event("a", "1", 7, 4.0, ("pixar", "fun"), {"device": "tv", "city": "Ulm"}),
    Event("a", "1", 8, 4.0),
    Event("a", "1", 7, 5.0),
  ]
  cleaned = run(raw)
  assert cleaned.events == [
    Event(
      "a", "1", 7, 4.0, ("fun", "pixar"), {"device": "phone", "city": "Ulm"}
    ),
    Event("a", "1", 8, 4.0),
  ]
  assert cleaned.counts["repeated event"] == 2


def test_tags_sets_and_groups_have_one_form(run):
  cleaned = run(
    [
      Tag(" role::\u200bdata ", "holds\n data"),
      Tag("role::data", "said again"),
      Tag(" "),
      Item(
        "a", sets={"specs": (" Co-op", "Co-op", ""), "no": ("",)}, group=" g"
      ),
    ]
  )
  assert cleaned.tags == {"role::data": Tag("role::data", "holds data")}
  assert cleaned.items["a"].sets == {"specs": ("Co-op",)}
  assert cleaned.items["a"].group == "g"
  assert cleaned.counts == {"repeated tag": 1, "tag: missing": 1}


def test_order_only_data_is_kept_as_it_is(run):
  raw = [Event("a", item) for item in "11211"]
  assert run(raw).events == raw


def test_no_time_among_times_is_refused(run):
  raw = [Event("a", "1"), Event("a", "2", 5), Event("b", "1")]
  cleaned = run(raw)
  assert cleaned.events == raw[1:]
  assert cleaned.counts["time: missing"] == 1
  assert cleaned.rejections[0].found == "a 1"


@pytest.mark.parametrize("bad", [-1, 10**12, 2**63])
def test_impossible_times(run, bad):
  cleaned = run([Event("a", "1", bad), Event("a", "1", 1)])
  assert [e.time for e in cleaned.events] == [1]
  assert sum(cleaned.counts.values()) == 2  # the time, the unknown item
  assert cleaned.rejections[0].field == "time"


def test_ids_that_could_not_be_written(run):
  cleaned = run([Item(""), Item("\ud800"), Event("a\0", "1")])
  assert not cleaned.items
  assert [r.field for r in cleaned.rejections] == ["item", "item", "person"]


def test_what_is_described_twice_and_what_never(run):
  raw = [
    Item("1", "first"),
    Item("1", "second"),
    Person("a", {"gender": "F"}),
    Person("a"),
    Event("a", "1"),
    Event("b", "2"),
  ]
  cleaned = run(raw)
  assert cleaned.items == {"1": Item("1", "first"), "2": Item("2")}
  assert cleaned.people == {"a": Person("a", {"gender": "F"})}
  assert cleaned.counts == {
    "repeated item": 1,
    "repeated person": 1,
    "item known only from events": 1,
  }


def test_products_left_out_are_not_made(run):
  raw = [Event("a", "1"), Event("b", "1"), Event("a", "2")]
  assert list(run(raw, min_item_events=2).items) == ["1"]


def test_low_ratings_go_and_unrated_events_stay(run):
  raw = [Event("a", "1", rating=3.5), Event("a", "2", rating=4.0)]
  raw.append(Event("a", "3"))
  cleaned = run(raw, min_rating=4.0)
  assert [e.item for e in cleaned.events] == ["2", "3"]
  assert cleaned.counts["rated below min_rating"] == 1


def test_texts_get_one_form(run):
  item = Item(
    "1",
    title="Toy  STORY\x00",
    description="x" * 20_000,
    tags=("e\u0301t\u00e9", " été", "\u200b"),
    numbers={"price": float("nan"), "year": 1995.0},
    categories={"brand": "  Nord\t", "colour": " "},
  )
  assert run([item]).items["1"] == Item(
    "1",
    title="Toy STORY",
    description="x" * 10_000,
    tags=("été",),
    numbers={"year": 1995.0},
    categories={"brand": "Nord"},
  )


def test_too_many_bad_rows_stop_with_the_top_reasons(run):
  bad = [Rejection("e.csv", n, "timestamp", "not a time", "?") for n in (2, 3)]
  raw = [*bad, Rejection("e.csv", 4, "", "too few columns"), Event("a", "1")]
  with pytest.raises(UserError) as caught:
    run(raw, max_bad_rows=0.74)
  assert str(caught.value) == (
    "e.csv: 3 of 4 rows are bad (2 x timestamp: not a time, "
    "1 x too few columns); the first is e.csv:2 [timestamp]: not a time ('?'), "
    "expected at most config.data.max_bad_rows = 0.74 of them. "
    "Fix: mend the file or raise config.data.max_bad_rows"
  )
  assert run(raw, max_bad_rows=0.75).counts == {
    "timestamp: not a time": 2,
    "too few columns": 1,
    "item known only from events": 1,
  }


def test_all_rejections_are_counted_but_not_all_kept(run):
  raw = itertools.repeat(Rejection("f", 1, "", "bad"), KEPT_REJECTIONS + 5)
  cleaned = run(raw)
  assert cleaned.counts == {"bad": KEPT_REJECTIONS + 5}
  assert len(cleaned.rejections) == KEPT_REJECTIONS


def test_nothing_left_says_why(run):
  with pytest.raises(UserError, match=r"no event of 1 is left.*min_person"):
    run([Event("a", "1")], min_person_events=2)
  assert run([]).events == []


def test_time_grows_with_the_events_not_their_square(run):
  raw = [
    Event(f"p{n % 1000}", f"i{n % 1700}", n * 7919 % 10**8, 4.0)
    for n in range(20_000)
  ]
  begin = time.process_time()
  run(raw, min_person_events=5, min_item_events=5)
  assert time.process_time() - begin < 3


def test_a_tag_may_be_merged_into_an_event_that_had_none(run):
  raw = [
    Event("a", "1", 1),
    Event("a", "2", 2, tags=("x",)),
    Event("a", "1", 1, tags=("y", "x")),
  ]
  cleaned = run(raw, min_tag_posts=2)
  assert [e.tags for e in cleaned.events] == [("x",), ("x",)]
  assert cleaned.counts["tag below min_tag_posts"] == 1


def test_a_published_p_core_of_posts(run, data_folder, unchecked_types):
  folder = data_folder / "hetrec_movielens_core3"
  if not folder.is_dir():
    pytest.skip(f"no HetRec MovieLens: {folder} is not a folder")
  raw = list(HetRecMovieLens(str(folder)).read())
  three = dict.fromkeys(("person_events", "item_events", "tag_posts"), 3)
  cleaned = run(raw, **{f"min_{name}": least for name, least in three.items()})
  assert len(cleaned.events) == len(raw)
  assert set(cleaned.counts) == {"item known only from events"}


@pytest.mark.parametrize(
  ("folder", "name", "sizes"),
  [
    ("amazon_beauty", "Beauty", (22_363, 12_101, 198_502)),
    ("lastfm", "LastFM", (1_090, 3_646, 52_551)),
  ],
)
def test_published_sizes_survive_the_five_core(
  run, data_folder, unchecked_types, folder, name, sizes
):
  source = S3Rec(str(data_folder / folder), name)
  raw = list(source.read())
  cleaned = run(raw, min_person_events=5, min_item_events=5)
  assert cleaned.counts == {}
  people = len(cleaned.events.people)
  assert (people, len(cleaned.items), len(cleaned.events)) == sizes
  kept = collections.defaultdict(list)
  for event in cleaned.events:
    kept[event.person].append(event.item)
  lines = (data_folder / folder / f"{name}.txt").read_text().splitlines()
  assert kept == {p: items for p, *items in map(str.split, lines)}
