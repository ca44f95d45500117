"""Posts → batches that ask for their tags, for training and evaluation.

A post is an event with tags, an assignment one of its tags (`Assignments`). A
token is an assignment, so a history of posts is packed as one of events is, see
pipeline.py. What a post is asked about is told of all its tokens alike; a model
answers from tokens of earlier posts alone.

Batch arrays, int32 [B, S], UNKNOWN where padded: `history_ids`, the product;
`history_tags`, UNKNOWN for a tag that is new to training; `history_segments` (0
is padding, 1, 2, ... the people of the row) and `history_positions` as in
pipeline.py; `history_posts`, the number of the post in its slice, from 0;
`history_times`, seconds since the first known time of the slice, UNKNOWN where
not known; `target_tags`, the tag that is asked for; `person_ids`, UNKNOWN for a
person none of whose posts train; `moment_*` and `person_*` of the post.
`product_tags` and `product_tag_counts`, int32 [B, S, G], are what training says
of the product, see `ProductTags`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int32, Int64, Integer

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import PipelineSettings
from tagrec_jax.data.dataset import Dataset, Interactions, Questions
from tagrec_jax.data.epochs import RowStream, Slices
from tagrec_jax.data.lists import ranges
from tagrec_jax.data.pipeline import Batch, Context, Places, share_of_rows
from tagrec_jax.data.questions import padded, padded_lists, width


class ProductTags:
  """The tags most often given to each product in training.

  Args:
    dataset: whose posts of training are counted.
    most: G, tags told of each product.

  Attributes:
    events: of the data set.
  """

  def __init__(self, dataset: Dataset, most: int):
    given = dataset.assignments
    self.events: Interactions = dataset.events
    self._most = most
    self._posts = given.posts
    self._num_items = dataset.spec.num_items
    # A key is tag - T * count: it sorts as told, and both can be read from it.
    self._size = max(dataset.spec.num_tags, 1)
    trained = np.flatnonzero(given.trains)
    pairs, of, counts = np.unique(
      given.items[trained] * np.int64(self._size) + given.tags[trained],
      return_inverse=True,
      return_counts=True,
    )
    items, tags = np.divmod(pairs, self._size)
    keys = tags - self._size * counts
    order = np.lexsort((keys, items))
    self._keys = keys[order]
    per_item = np.bincount(items, minlength=self._num_items)
    self._offsets = np.append(0, np.cumsum(per_item))
    # Where the key of each assignment stands; nowhere if it does not train.
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    self._places = np.full(len(given.tags), UNKNOWN, np.int64)
    self._places[trained] = places[of]

  def __call__(
    self,
    items: Integer[np.ndarray, " N"],
    posts: Int64[np.ndarray, " N"] | None = None,
  ) -> tuple[Int32[np.ndarray, "N G"], Int32[np.ndarray, "N G"]]:
    """Tags and how often each was given, most frequent first, ties by row.

    Products of which training knows nothing have none.

    Args:
      items: rows of products.
      posts: events of `events`; each is told what the others say of its
        product. None: nothing is left out.

    Returns:
      Tags padded by UNKNOWN, and counts padded by 0.
    """
    known = (items >= 0) & (items < self._num_items)
    items = np.where(known, items, 0)
    first = self._offsets[items]
    lengths = np.where(known, self._offsets[items + 1] - first, 0)
    own = places = np.zeros(0, np.int64)
    if posts is not None:
      own, assignments = ranges(self._posts[posts], self._posts[posts + 1])
      places = self._places[assignments]
      own, places = own[places >= 0], places[places >= 0]
    # Leaving out n assignments moves at most n others up.
    most_own = np.bincount(own).max(initial=0)
    columns = np.arange(min(lengths.max(initial=0), self._most + most_own))
    inside = columns < lengths[:, None]
    keys = np.zeros((len(items), len(columns)), np.int64)
    keys[inside] = self._keys[(first[:, None] + columns)[inside]]
    column = places - first[own]
    near = column < len(columns)
    np.add.at(keys, (own[near], column[near]), self._size)
    keys = np.sort(keys, axis=1)[:, : self._most]
    keys = np.pad(keys, ((0, 0), (0, self._most - keys.shape[1])))
    counts = -(keys // self._size)
    tags = np.where(counts > 0, keys % self._size, UNKNOWN)
    return tags.astype(np.int32), counts.astype(np.int32)


class _Tokens:
  """Batch arrays of posts."""

  def __init__(
    self,
    dataset: Dataset,
    product_tags: ProductTags,
    moment: tuple[str, ...],
    person: tuple[str, ...],
  ):
    self._events = dataset.events
    self._num_tags = dataset.spec.num_tags
    self._product_tags = product_tags
    self._context = Context(dataset, moment, person)
    given = dataset.assignments
    self._trained = given.ends > given.offsets[:-1]

  def batch(self, places: Places, event: np.ndarray, tag: np.ndarray) -> Batch:
    """All arrays but what is asked.

    Args:
      event: int64 [N], the post of each token. tag: int32 [N].
    """
    person, begins = places.person, places.position == 0
    post = np.cumsum(np.append(True, event[1:] != event[:-1]) | begins)
    first = np.flatnonzero(begins)[places.number]
    (seconds,) = places.seconds(self._events.times[event])
    tags, counts = self._told(event)
    return places.fill(
      {
        "history_ids": self._events.items[event],
        "history_tags": np.where(tag < self._num_tags, tag, UNKNOWN),
        "history_posts": post - post[first],
        "history_times": seconds,
        "person_ids": np.where(self._trained[person], person, UNKNOWN),
        "product_tags": tags,
        "product_tag_counts": counts,
        **self._context(event, person),
      }
    )

  def _told(self, event: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the product of each post, without what the post itself says."""
    posts, of = np.unique(event, return_inverse=True)
    counted = self._product_tags.events is self._events
    tags, counts = self._product_tags(
      self._events.items[posts], posts if counted else None
    )
    return tags[of], counts[of]


class PostBatches:
  """step → batch. Every host computes the same rows and takes its share.

  Every assignment of training is a token once an epoch, see `TrainBatches`; a
  tag that is new to training asks nothing. `begin_token` has no meaning here.

  Args:
    moment, person: names of the context features the model reads.
    host, hosts: which share of the rows this process makes.

  Attributes:
    steps_per_epoch: a fraction, as an epoch may end within a batch.
    fill: the fraction of slots that hold an assignment.
  """

  def __init__(
    self,
    dataset: Dataset,
    settings: PipelineSettings,
    *,
    moment: tuple[str, ...] = (),
    person: tuple[str, ...] = (),
    seed: int = 0,
    host: int = 0,
    hosts: int = 1,
  ):
    self._rows = settings.batch_rows
    self._share = share_of_rows(settings.batch_rows, hosts)
    self._first = host * self._share
    self._shape = self._share, settings.row_length
    self._given = given = dataset.assignments
    if not given.trains.any():
      raise UserError(
        f"data '{dataset.name}'",
        "no person gave a tag in a training event",
        "at least one",
        "lower config.data.min_tag_items or choose another source",
      )
    told = ProductTags(dataset, settings.product_tags)
    self._tokens = _Tokens(dataset, told, moment, person)
    self._stream = RowStream(given.offsets[:-1], given.ends, settings, seed)
    self.steps_per_epoch = self._stream.rows_per_epoch / settings.batch_rows
    slots = self._stream.rows_per_epoch * settings.row_length
    self.fill = self._stream.questions / slots

  def __call__(self, step: int) -> Batch:
    """The share of this host of the global batch of one step."""
    first = step * self._rows + self._first
    slices, rows = self._stream(first, first + self._share)
    places = Places.of(slices, rows, self._shape)
    assignment = places.event
    batch = self._tokens.batch(
      places, self._given.events[assignment], self._given.tags[assignment]
    )
    return batch | {"target_tags": batch["history_tags"]}


def tagged(dataset: Dataset, questions: Questions) -> Questions:
  """Those questions whose event is a post."""
  posts = dataset.assignments.posts
  asked = posts[questions.events + 1] > posts[questions.events]
  return Questions(questions.people[asked], questions.events[asked])


def post_question_batches(
  dataset: Dataset,
  questions: Questions,
  settings: PipelineSettings,
  *,
  batch_people: int,
  moment: tuple[str, ...] = (),
  person: tuple[str, ...] = (),
  product_tags: ProductTags | None = None,
) -> Iterator[Batch]:
  """Asks for the tags of posts, one a row, the shortest histories first.

  A row holds the newest assignments of the person's earlier posts and then a
  token without a tag for the question, at most `max_history` in all; widths are
  those of `question_batches`. Training asks nothing here, so `target_tags` are
  UNKNOWN.

  Besides the arrays of a training batch: `question` int32 [B], the place of
  each row's question among `questions`, UNKNOWN for rows that only fill up the
  last batch; `last` int32 [B], the position that answers; `target_ids` int32
  [B], the product; `relevant_tags` int32 [B, M], the tags of the post, new ones
  too; `history_lengths` int32 [B], how many posts came before.

  Args:
    product_tags: counted before; needed where `dataset` does not hold the posts
      that trained.
  """
  given, events = dataset.assignments, dataset.events
  told = product_tags or ProductTags(dataset, settings.product_tags)
  tokens = _Tokens(dataset, told, moment, person)
  posts_before = np.append(0, np.cumsum(np.diff(given.posts) > 0))
  starts = given.offsets[questions.people]
  lengths = given.posts[questions.events] - starts
  order = np.argsort(lengths, kind="stable")
  for begin in range(0, len(order), batch_people):
    chosen = order[begin : begin + batch_people]
    people, event = questions.people[chosen], questions.events[chosen]
    end = given.posts[event]
    first = np.maximum(starts[chosen], end - settings.max_history + 1)
    # The question's own token stands where its first assignment would.
    slices = Slices(people.astype(np.int64), first, end + 1)
    size = min(width(slices.lengths), settings.max_history)
    places = Places.of(slices, np.arange(len(event)), (batch_people, size))
    asks = places.position == (end - first)[places.number]
    read = places.event[~asks]
    post = event[places.number]
    post[~asks] = given.events[read]
    tag = np.full(len(asks), UNKNOWN, np.int32)
    tag[~asks] = given.tags[read]
    batch = tokens.batch(places, post, tag)
    earlier = posts_before[event] - posts_before[events.offsets[people]]
    stop = given.posts[event + 1]
    yield batch | {
      "target_tags": np.full_like(batch["history_tags"], UNKNOWN),
      "question": padded(chosen, batch_people, UNKNOWN),
      "last": padded(end - first, batch_people, 0),
      "target_ids": padded(events.items[event], batch_people, UNKNOWN),
      "relevant_tags": padded_lists(given.tags, end, stop, batch_people),
      "history_lengths": padded(earlier, batch_people, 0),
    }
