"""The places of several right tags: of a product, or of a post about it."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.data.tag_counts import TagCounts
from tagrec_jax.evaluation import answers, metrics, protocols, ranking, slices
from tagrec_jax.evaluation.answers import Batch, Rules
from tagrec_jax.evaluation.calibrate import Calibration
from tagrec_jax.evaluation.chosen import Chosen
from tagrec_jax.evaluation.entries import Entries
from tagrec_jax.evaluation.report import Report

Known = Callable[[Batch], tuple[np.ndarray, np.ndarray]]
"""Batch → ids int32 [B, H], padded by UNKNOWN, and a number for each."""


class _Meter(abc.ABC):
  """What is the same, wherever right tags come from.

  Args:
    counts: of the tags of training.
    new_tags: how many came after training.
    num_items: products of training.
    trained: as for `ItemMeter`.
    calibration: which tags to choose, for the F1 of sets; None for none.
    entries: of tags, new ones too, see `answers.report`.
  """

  names: tuple[str, ...]
  """Of metrics."""

  def __init__(
    self,
    rules: Rules,
    *,
    counts: TagCounts,
    new_tags: int,
    num_items: int,
    trained: np.ndarray | None,
    calibration: Calibration | None,
    entries: Entries | None,
  ):
    self._rules, self._entries = rules, entries
    self._counts, self._new = counts.with_new(new_tags), new_tags
    self._num_tags, self._num_items = len(counts.of_tag), num_items
    self._trained = trained
    self._chosen = (
      Chosen(calibration, self._num_tags + new_tags) if calibration else None
    )
    self._size = self._num_tags
    self._passport: dict[str, str] = {}
    self._answers = answers.Answers()

  @abc.abstractmethod
  def _right(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Products [B], and tags [B, M], distinct, padded by UNKNOWN."""

  @abc.abstractmethod
  def _asked(self, count: int) -> dict[str, int]:
    """Who was asked, and what was special."""

  def _more(self, batch: Batch, relevant_BM: np.ndarray) -> dict[str, Any]:
    """What is kept besides."""
    del batch, relevant_BM
    return {}

  def _who(self, question_P: np.ndarray) -> np.ndarray | None:
    """Whose questions these are, see `Report`."""
    del question_P
    return None

  def add(self, batch: Batch, scores: Any) -> None:
    """Takes scores of all tags, see `ItemMeter.add`.

    Only sets of tags that are chosen need whole rows of them.
    """
    target_B, relevant_BM = self._right(batch)
    asked_B = (batch["question"] >= 0) & (relevant_BM >= 0).any(axis=1)
    rows = answers.checked(scores, batch, self._num_tags, self._new)
    self._size = rows.size
    ranks_BM, lists_BK = ranking.ranks_and_lists(
      rows,
      relevant_BM,
      relevant_BM[:, :0],  # nothing was seen
      protocols.UNMASKED,
      max(self._rules.cutoffs),
    )
    kept = {
      "question": batch["question"],
      "ranks": jnp.where(relevant_BM < 0, 0, ranks_BM),
      "relevant": relevant_BM,
      "lists": lists_BK,
      "target": target_B,
      **self._more(batch, relevant_BM),
    }
    if "history_lengths" in batch:
      kept["lengths"] = batch["history_lengths"]
    if self._size > self._num_tags:
      # Places among the new tags alone.
      kept["new_ranks"] = ranking.relevant_ranks(
        rows, relevant_BM, self._num_tags
      )
    if self._chosen:
      kept |= self._chosen.add(rows.whole(), relevant_BM, asked_B)
    self._answers.add(asked_B, **kept)

  def report(self) -> Report:
    """What was found so far, see `ItemMeter.report`."""
    found = self._answers.join("item with tags to ask for")
    passport = self._passport | {"catalogue": self._size}
    if self._new:
      competing = self._size > self._num_tags
      passport |= {"new tags": "in" if competing else "out"}
    ranks_PM, relevant_PM = found["ranks"], found["relevant"]
    gains_V = 1 / self._counts.propensities()
    made = answers.report(
      self._rules,
      self.names,
      ranks_PM,
      found["lists"],
      gains_PM=gains_V[np.maximum(relevant_PM, 0)],
      entries=self._entries,
      asked=self._asked(len(ranks_PM)),
      slices=self._slices(found),
      passport=passport,
      who_P=self._who(found["question"]),
    )
    return self._chosen.told(self._rules, made, found) if self._chosen else made

  def _slices(self, found: dict[str, np.ndarray]) -> tuple[slices.Slice, ...]:
    ranks_PM, relevant_PM = found["ranks"], found["relevant"]
    of_tag = self._counts.of_tag[: self._num_tags]
    parts = slices.by_tag_popularity(ranks_PM, relevant_PM, of_tag)
    if "new_ranks" in found:
      parts += slices.of_tags(
        "tag popularity", "unseen, among these alone", found["new_ranks"]
      )
    if "lengths" in found:
      parts += slices.by_history(ranks_PM, found["lengths"])
    new_P = found["target"] >= self._num_items
    return *parts, *slices.by_what_is_new(
      ranks_PM, new_P, found["question"], self._trained
    )


class TagMeter(_Meter):
  """The tags of an item: of the next one, or of one asked about.

  Args:
    tags_of_item: int32 [C + N, M], padded with UNKNOWN.
    new_items: N of `tags_of_item`.
    counts, new_tags, trained, calibration, entries: see `_Meter`.
  """

  names = metrics.TAG_METRICS

  def __init__(
    self,
    rules: Rules,
    *,
    tags_of_item: np.ndarray,
    counts: TagCounts,
    new_tags: int = 0,
    new_items: int = 0,
    trained: np.ndarray | None = None,
    calibration: Calibration | None = None,
    entries: Entries | None = None,
  ):
    super().__init__(
      rules,
      counts=counts,
      new_tags=new_tags,
      num_items=len(tags_of_item) - new_items,
      trained=trained,
      calibration=calibration,
      entries=entries,
    )
    self._tags_of_item = without_repeats(tags_of_item)
    self._passport = protocols.TAG_PASSPORT
    self._unknown = self._without_tags = 0

  def _right(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    if "product_ids" in batch:
      target_B, self._passport = (
        batch["product_ids"],
        protocols.PRODUCT_PASSPORT,
      )
    else:
      target_B = batch["target_ids"]
    asked_B, known_B = batch["question"] >= 0, target_B >= 0
    relevant_BM = np.where(
      known_B[:, None], self._tags_of_item[np.maximum(target_B, 0)], UNKNOWN
    )
    tagged_B = (relevant_BM >= 0).any(axis=1)
    self._unknown += int((asked_B & ~known_B).sum())
    self._without_tags += int((asked_B & known_B & ~tagged_B).sum())
    return target_B, relevant_BM

  def _asked(self, count: int) -> dict[str, int]:
    if self._passport is protocols.PRODUCT_PASSPORT:
      return {"products": count, "without_tags": self._without_tags}
    return {
      "people": count,
      "unknown_targets": self._unknown,
      "without_tags": self._without_tags,
    }


class PostMeter(_Meter):
  """The tags of a post: what this person gives this product.

  Args:
    own: tells the tags that the person gave before.
    of_product: tells those that the product was given in training.
    most: M, the most tags of a post that is asked about.
    people: int [Q], who is asked each question.
    counts, new_tags, num_items, trained, calibration, entries: see `_Meter`.
  """

  names = metrics.POST_METRICS

  def __init__(
    self,
    rules: Rules,
    *,
    own: Known,
    of_product: Known,
    most: int,
    people: np.ndarray,
    counts: TagCounts,
    num_items: int,
    new_tags: int = 0,
    trained: np.ndarray | None = None,
    calibration: Calibration | None = None,
    entries: Entries | None = None,
  ):
    super().__init__(
      rules,
      counts=counts,
      new_tags=new_tags,
      num_items=num_items,
      trained=trained,
      calibration=calibration,
      entries=entries,
    )
    self._own, self._of_product, self._most = own, of_product, most
    self._people = people
    self._several = len(np.unique(people)) < len(people)
    self._passport = protocols.POST_PASSPORT | (
      protocols.SEVERAL_POSTS if self._several else {}
    )
    self._unseen = 0

  def _right(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    relevant_BM = without_repeats(batch["relevant_tags"])
    # Batches are as wide as they need; answers are kept at one width.
    relevant_BM = -np.sort(-relevant_BM, axis=1)[:, : self._most]
    missing = ((0, 0), (0, self._most - relevant_BM.shape[1]))
    relevant_BM = np.pad(relevant_BM, missing, constant_values=UNKNOWN)
    asked_B1 = batch["question"][:, None] >= 0
    unseen_BM = relevant_BM >= self._num_tags
    self._unseen += int((asked_B1 & unseen_BM).sum())
    return batch["target_ids"], relevant_BM

  def _more(self, batch: Batch, relevant_BM: np.ndarray) -> dict[str, Any]:
    return {
      "own": _among(relevant_BM, self._own(batch)[0]),
      "of_product": _among(relevant_BM, self._of_product(batch)[0]),
    }

  def _who(self, question_P: np.ndarray) -> np.ndarray | None:
    return self._people[question_P] if self._several else None

  def _asked(self, count: int) -> dict[str, int]:
    return {"posts": count, "unknown_tags": self._unseen}

  def _slices(self, found: dict[str, np.ndarray]) -> tuple[slices.Slice, ...]:
    return *super()._slices(found), *slices.by_earlier_use(
      found["ranks"], found["own"], found["of_product"]
    )


def _among(ids_BM: np.ndarray, known_BH: np.ndarray) -> np.ndarray:
  """Which ids are among the others of their row, bool [B, M]."""
  among_MB = [(ids_B[:, None] == known_BH).any(axis=1) for ids_B in ids_BM.T]
  return np.stack(among_MB, axis=1) & (ids_BM >= 0)


def without_repeats(ids_CM: np.ndarray) -> np.ndarray:
  """Each row sorted, an id listed again replaced by padding."""
  ids_CM = np.sort(ids_CM, axis=1)
  repeat_CM = np.zeros(ids_CM.shape, bool)
  repeat_CM[:, 1:] = ids_CM[:, 1:] == ids_CM[:, :-1]
  return np.where(repeat_CM, UNKNOWN, ids_CM)
