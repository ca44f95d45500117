"""What is asked of a model: held-out events of people, or products."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from tagrec_jax import build
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import Settings
from tagrec_jax.data.dataset import Dataset, Questions
from tagrec_jax.data.pipeline import Batch
from tagrec_jax.data.products import product_question_batches
from tagrec_jax.data.questions import question_batches
from tagrec_jax.data.spec import TAGS
from tagrec_jax.data.tag_counts import TagCounts
from tagrec_jax.evaluation.answers import Rules
from tagrec_jax.evaluation.calibrate import Calibration
from tagrec_jax.evaluation.evaluate import ItemMeter, Meter, TagMeter
from tagrec_jax.models.baselines.scorers import item_counts


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
      )
    counts = self._tag_counts()
    return _tag_meter(rules, self._dataset, counts, trained, calibration)

  def baselines(self, target: str) -> Mapping[str, Any]:
    if target == "items":
      names = self._settings.evaluation.baselines
      return {name: build.ITEM_BASELINES[name] for name in names}
    known = build.TAG_BASELINES
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
    return _tag_meter(rules, self._dataset, self._tag_counts, None, calibration)

  def baselines(self, target: str) -> Mapping[str, Any]:
    del target
    known = {
      n: build.PRODUCT_BASELINES[n] for n in build.PRODUCT_BASELINES.names
    }
    return {n: b for n, b in known.items() if b.suits(self._dataset)}


def _tag_meter(
  rules: Rules,
  dataset: Dataset,
  counts: TagCounts,
  trained: np.ndarray | None,
  calibration: Calibration | None,
) -> TagMeter:
  return TagMeter(
    rules,
    tags_of_item=dataset.product[TAGS],
    counts=counts,
    new_tags=dataset.spec.num_new_tags,
    new_items=dataset.spec.num_new_items,
    trained=trained,
    calibration=calibration,
  )


def _some(count: int, most: int, seed: int) -> np.ndarray:
  """Places among `count` questions, ascending."""
  if not most or most >= count:
    return np.arange(count)
  return np.sort(np.random.default_rng(seed).permutation(count)[:most])
