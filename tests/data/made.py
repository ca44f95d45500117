"""People who each take numbered items, one after another, or give them tags."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from tagrec_jax.core.settings import PipelineSettings
from tagrec_jax.data.dataset import Dataset, Interactions, Questions
from tagrec_jax.data.lists import Lists
from tagrec_jax.data.spec import Spec
from tagrec_jax.data.vocab import Vocabulary

SETTINGS = PipelineSettings(
  batch_rows=4,
  row_length=16,
  max_history=6,
  long_histories="newest",
  begin_token=True,
  product_tags=3,
)


def make_dataset(lengths: list[int]) -> Dataset:
  """Person p takes items 100·p, 100·p + 1, ...; the last two are held out."""
  offsets = np.cumsum([0, *lengths]).astype(np.int64)
  items = np.concatenate(
    [100 * p + np.arange(n) for p, n in enumerate(lengths)] or [[]]
  ).astype(np.int32)
  people = np.arange(len(lengths), dtype=np.int32)
  ends = np.maximum(offsets[1:] - 2, offsets[:-1])
  return Dataset(
    name="made",
    fingerprint="0",
    spec=Spec(100 * len(lengths), 0, ()),
    items=Vocabulary([]),
    tags=Vocabulary([]),
    people=Vocabulary([str(p) for p in people]),
    titles=(),
    events=Interactions(offsets, items, 1000 * items.astype(np.int64)),
    train_ends=ends,
    valid=Questions(people, offsets[1:] - 2),
    test=Questions(people, offsets[1:] - 1),
    product={},
    person={"group": people % 3},
    counts={},
  )


@st.composite
def lists_of_tags(draw: st.DrawFn, number: int) -> Lists:
  """Any posts: `number` lists of three tags."""
  posts = st.lists(
    st.lists(st.integers(0, 2)), min_size=number, max_size=number
  )
  tags = draw(posts)
  return Lists.of(
    np.array([tag for post in tags for tag in post], np.int32),
    np.array([len(post) for post in tags], np.int64),
  )


Post = tuple[int, list[int]]
"""A product, and the tags that somebody gave it."""


def make_posts(
  people: Sequence[Sequence[Post]], num_items: int = 3, num_tags: int = 4
) -> Dataset:
  """Person p posts; of three and more the last is test, the one before valid.

  Every event has a class of its own in the moment feature 'event', and the time
  1000 · event.

  Args:
    num_items, num_tags: of training; rows beyond are new.
  """
  posts = [post for person in people for post in person]
  lengths = [len(person) for person in people]
  offsets = np.cumsum([0, *lengths]).astype(np.int64)
  asked = np.flatnonzero(np.array(lengths, int) >= 3).astype(np.int32)
  train_ends = offsets[1:].copy()
  train_ends[asked] -= 2
  number = np.arange(len(posts))
  return Dataset(
    name="posts",
    fingerprint="0",
    spec=Spec(num_items, num_tags, (), 1, 2),
    items=Vocabulary([]),
    tags=Vocabulary([]),
    people=Vocabulary([str(p) for p in range(len(lengths))]),
    titles=(),
    events=Interactions(
      offsets,
      np.array([item for item, _ in posts], np.int32),
      1000 * number.astype(np.int64),
      Lists.of(
        np.array([tag for _, tags in posts for tag in tags], np.int32),
        np.array([len(tags) for _, tags in posts], np.int64),
      ),
      {"event": number.astype(np.int32)},
    ),
    train_ends=train_ends,
    valid=Questions(asked, offsets[1:][asked] - 2),
    test=Questions(asked, offsets[1:][asked] - 1),
    product={},
    person={"group": np.arange(len(lengths), dtype=np.int32) % 3},
    counts={},
  )


BY_HAND: list[list[Post]] = [
  # Of person 0 the posts 0 and 1 train, 2 is valid, 3 is test.
  [(0, [2, 1]), (1, [0, 4]), (0, [3]), (3, [1, 5])],
  # All of person 1 trains: events 4 and 5.
  [(0, [2]), (1, [2, 0, 1])],
  # Of person 2 event 6 trains, 7 is valid and no post, 8 is test.
  [(0, [1]), (2, []), (1, [0])],
]
