"""What is asked of a model: held-out events of people, or products."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from tagrec_jax import build, registries
from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import Settings
from tagrec_jax.data.dataset import Dataset, Questions
from tagrec_jax.data.pipeline import Batch
from tagrec_jax.data.posts import ProductTags, post_question_batches, tagged
from tagrec_jax.data.products import product_question_batches
from tagrec_jax.data.questions import question_batches
from tagrec_jax.data.spec import TAGS
from tagrec_jax.data.tag_counts import TagCounts
from tagrec_jax.evaluation.answers import Rules
from tagrec_jax.evaluation.calibrate import Calibration
from tagrec_jax.evaluation.entries import Entries, item_entries, tag_entries
from tagrec_jax.evaluation.evaluate import (
  ItemMeter,
  Meter,
  PostMeter,
  TagMeter,
)
from tagrec_jax.models.baselines.posts import CountedTags, EarlierTags
from tagrec_jax.models.baselines.scorers import item_counts
from tagrec_jax.models.baselines.tags import tags_of_items


@runtime_checkable
class Asked(Protocol):
  """The questions of one split."""

  def batches(self) -> Iterator[Batch]:
    """All of them, the same each time."""
    ...

  def meter(
    self,
    target: str,
    rules: Rules,
    protocol: str,
    calibration: Calibration | None,
  ) -> Meter:
    """Takes the answers for one target.

    Args:
      calibration: which tags are given as a set; None measures lists alone.
    """
    ...

  def baselines(self, target: str) -> Mapping[str, Any]:
    """name → baseline, to be fitted on the data set."""
    ...


def asked(
  settings: Settings, dataset: Dataset, split: str, most: int = 0
) -> Asked:
  """The questions of a task.

  Args:
    split: 'valid' or 'test'.
    most: ask only this many, drawn by the seed; 0 asks all.
  """
  if settings.task == "tag_item":
    return Products(settings, dataset, split, most)
  if settings.task == "tag_post":
    return Posts(settings, dataset, split, most)
  return People(settings, dataset, split, most)


class People:
  """What does each person take next, and with which tags?"""

  def __init__(
    self, settings: Settings, dataset: Dataset, split: str, most: int
  ):
    self._settings, self._dataset = settings, dataset
    questions: Questions = getattr(dataset, split)
    chosen = _some(len(questions.people), most, settings.seed)
    self._questions = Questions(
      questions.people[chosen], questions.events[chosen]
    )
    self._item_counts = item_counts(dataset)
    # Only asked for where products have tags.
    self._tag_counts = functools.cache(lambda: TagCounts.of(dataset))
    self._tag_entries = functools.cache(
      lambda: _entries_of_tags(dataset, self._tag_counts())
    )

  def batches(self) -> Iterator[Batch]:
    return question_batches(
      self._dataset,
      self._questions,
      self._settings.pipeline,
      batch_people=self._settings.evaluation.batch_people,
      moment=self._settings.model.moment,
      person=self._settings.model.person,
    )

  def meter(
    self,
    target: str,
    rules: Rules,
    protocol: str,
    calibration: Calibration | None,
  ) -> Meter:
    people = self._questions.people
    begins = self._dataset.events.offsets[people]
    trained = self._dataset.train_ends[people] - begins
    if target == "items":
      return ItemMeter(
        rules,
        protocol=build.PROTOCOLS[protocol],
        item_counts=self._item_counts,
        new_items=self._dataset.spec.num_new_items,
        trained=trained,
        entries=self._item_entries,
      )
    counts, entries = self._tag_counts(), self._tag_entries()
    return _tag_meter(
      rules, self._dataset, counts, trained, calibration, entries
    )

  @functools.cached_property
  def _item_entries(self) -> Entries:
    dataset, spec = self._dataset, self._dataset.spec
    counts = np.pad(self._item_counts, (0, spec.num_new_items))
    size = spec.num_tags + spec.num_new_tags
    return item_entries(counts, dataset.product.get(TAGS), size)

  def baselines(self, target: str) -> Mapping[str, Any]:
    if target == "items":
      names = self._settings.evaluation.baselines
      return {name: registries.ITEM_BASELINES[name] for name in names}
    known = registries.TAG_BASELINES
    return {name: known[name] for name in known.names}


class Products:
  """Which tags has each product?

  Raises:
    UserError: if no product of valid or of test has a tag: a run that cannot be
      measured at its end is not to begin.
  """

  def __init__(
    self, settings: Settings, dataset: Dataset, split: str, most: int
  ):
    self._settings, self._dataset = settings, dataset
    asked = {"valid": dataset.valid_items, "test": dataset.test_items}
    for name, rows in asked.items():
      if not len(rows):
        raise UserError(
          f"data '{dataset.name}'",
          f"no product of {name} has a tag",
          "at least one",
          "set config.data.cold_items higher",
        )
    rows = asked[split]
    self._rows = rows[_some(len(rows), most, settings.seed)]
    self._tag_counts = TagCounts.of(dataset)
    self._tag_entries = functools.cache(
      lambda: _entries_of_tags(dataset, self._tag_counts)
    )

  def batches(self) -> Iterator[Batch]:
    return product_question_batches(
      self._dataset,
      self._rows,
      features=self._settings.model.product,
      batch_products=self._settings.evaluation.batch_people,
    )

  def meter(
    self,
    target: str,
    rules: Rules,
    protocol: str,
    calibration: Calibration | None,
  ) -> Meter:
    del target, protocol  # tags, and nothing was seen before
    counts, entries = self._tag_counts, self._tag_entries()
    return _tag_meter(rules, self._dataset, counts, None, calibration, entries)

  def baselines(self, target: str) -> Mapping[str, Any]:
    del target
    known = {
      n: registries.PRODUCT_BASELINES[n]
      for n in registries.PRODUCT_BASELINES.names
    }
    return {n: b for n, b in known.items() if b.suits(self._dataset)}


class Posts:
  """Which tags does each person give a product?

  Batches have one array more than those of data/posts.py: `events` int64 [B],
  the event asked about, for baselines; UNKNOWN in rows that fill up.

  Raises:
    UserError: if no post is left for test.
  """

  def __init__(
    self, settings: Settings, dataset: Dataset, split: str, most: int
  ):
    self._settings, self._dataset = settings, dataset
    if not len(tagged(dataset, dataset.test).people):
      raise UserError(
        f"data '{dataset.name}'",
        "no event of test has a tag",
        "posts to be asked about",
        "choose a source in which people give tags",
      )
    questions = tagged(dataset, getattr(dataset, split))
    chosen = _some(len(questions.people), most, settings.seed)
    self._questions = Questions(
      questions.people[chosen], questions.events[chosen]
    )
    self._told = functools.cache(
      lambda: ProductTags(dataset, settings.pipeline.product_tags)
    )
    self._before = functools.cache(
      lambda: (EarlierTags(dataset), CountedTags(dataset))
    )
    self._counts = functools.cache(lambda: TagCounts.of_posts(dataset))

  def batches(self) -> Iterator[Batch]:
    for batch in post_question_batches(
      self._dataset,
      self._questions,
      self._settings.pipeline,
      batch_people=self._settings.evaluation.batch_people,
      moment=self._settings.model.moment,
      person=self._settings.model.person,
      product_tags=self._told(),
    ):
      place_B = batch["question"]
      events_B = self._questions.events[np.maximum(place_B, 0)]
      yield batch | {"events": np.where(place_B < 0, UNKNOWN, events_B)}

  def meter(
    self,
    target: str,
    rules: Rules,
    protocol: str,
    calibration: Calibration | None,
  ) -> Meter:
    del target, protocol  # tags, and a tag given before may be given again
    dataset, given = self._dataset, self._dataset.assignments
    people, events = self._questions.people, self._questions.events
    own, of_product = self._before()
    return PostMeter(
      rules,
      own=own,
      of_product=of_product,
      people=people,
      most=int((given.posts[events + 1] - given.posts[events]).max(initial=1)),
      counts=self._counts(),
      num_items=dataset.spec.num_items,
      new_tags=dataset.spec.num_new_tags,
      trained=given.ends[people] - given.offsets[people],
      calibration=calibration,
      entries=self._entries,
    )

  @functools.cached_property
  def _entries(self) -> Entries:
    counts = self._counts().with_new(self._dataset.spec.num_new_tags)
    _, of_product = self._before()
    return tag_entries(counts.of_tag, of_product.counts_CT)

  def baselines(self, target: str) -> Mapping[str, Any]:
    del target
    known = registries.POST_BASELINES
    return {name: known[name] for name in known.names}


def _tag_meter(
  rules: Rules,
  dataset: Dataset,
  counts: TagCounts,
  trained: np.ndarray | None,
  calibration: Calibration | None,
  entries: Entries,
) -> TagMeter:
  return TagMeter(
    rules,
    tags_of_item=dataset.product[TAGS],
    counts=counts,
    new_tags=dataset.spec.num_new_tags,
    new_items=dataset.spec.num_new_items,
    trained=trained,
    calibration=calibration,
    entries=entries,
  )


def _entries_of_tags(dataset: Dataset, counts: TagCounts) -> Entries:
  """Of the tags that products have."""
  every = counts.with_new(dataset.spec.num_new_tags)
  return tag_entries(every.of_tag, tags_of_items(dataset))


def _some(count: int, most: int, seed: int) -> np.ndarray:
  """Places among `count` questions, ascending."""
  if not most or most >= count:
    return np.arange(count)
  return np.sort(np.random.default_rng(seed).permutation(count)[:most])
