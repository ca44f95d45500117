"""Ask a model about held-out events and measure the answers in one pass.

A meter is given batches and the scores a model has for them, and reports what
it found in the order of the questions. A batch has `question` int32 [B], the
place of each row among all questions, UNKNOWN for rows that only fill it up;
whatever else the model reads; and, where people are asked, target_ids int32
[B]; seen_ids int32 [B, H] padded by UNKNOWN; history_lengths [B]; where
products are asked for their tags, product_ids int32 [B].

Rows of products and tags that came after training follow those of training. A
model that does not know them gives scores of the others alone: then they are
no candidates, and each of them that would be right is missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jax.numpy as jnp
import numpy as np

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.data.tag_counts import TagCounts
from tagrec_jax.decoding import topk
from tagrec_jax.evaluation import answers, metrics, protocols, ranking, slices
from tagrec_jax.evaluation.answers import Batch, Rules
from tagrec_jax.evaluation.calibrate import Calibration
from tagrec_jax.evaluation.chosen import Chosen
from tagrec_jax.evaluation.report import Report


class ItemMeter:
  """The place of the item each person takes next.

  Args:
    protocol: how seen items are treated.
    item_counts: training events of each item of training, int [C].
    new_items: how many came after training.
    trained: training events of the person of each question, int [Q]; None
      where all people have some.
  """

  def __init__(
    self,
    rules: Rules,
    *,
    protocol: protocols.Protocol,
    item_counts: np.ndarray,
    new_items: int = 0,
    trained: np.ndarray | None = None,
  ):
    self._rules = rules
    self._protocol = protocol
    self._counts = item_counts
    self._new, self._size = new_items, len(item_counts)
    self._trained = trained
    self._answers = answers.Answers()
    self._repeats = 0

  def add(self, batch: Batch, scores_BC: Any) -> None:
    """Takes scores of all items, numpy or JAX, higher is better.

    Raises:
      UserError: scores of another shape.
    """
    asked_B = batch["question"] >= 0
    scores_BC = answers.checked(scores_BC, batch, len(self._counts), self._new)
    self._size = scores_BC.shape[1]
    ranks_B, lists_BK = ranking.ranks_and_lists(
      scores_BC,
      jnp.asarray(batch["target_ids"]),
      jnp.asarray(batch["seen_ids"]),
      self._protocol,
      max(self._rules.cutoffs),
    )
    self._repeats += int((_repeats(batch) & asked_B).sum())
    self._answers.add(
      asked_B,
      question=batch["question"],
      ranks=ranks_B,
      lists=lists_BK,
      target=batch["target_ids"],
      lengths=batch["history_lengths"],
    )

  def report(self) -> Report:
    """What was found so far.

    Raises:
      UserError: there was nobody to ask.
    """
    found = self._answers.join("person to ask")
    target_P, ranks_PM = found["target"], found["ranks"][:, None]
    asked = {
      "people": len(ranks_PM),
      "unknown_targets": int(((target_P < 0) | (target_P >= self._size)).sum()),
      "repeats": self._repeats,
    }
    passport = self._protocol.passport() | {"catalogue": self._size}
    if self._new:
      competing = self._size > len(self._counts)
      passport |= protocols.WITH_NEW if competing else {}
      passport |= {"new products": "in" if competing else "out"}
    return answers.report(
      self._rules,
      metrics.ITEM_METRICS,
      ranks_PM,
      found["lists"],
      asked=asked,
      slices=(
        *slices.by_popularity(ranks_PM, target_P, self._counts),
        *slices.by_history(ranks_PM, found["lengths"]),
        *_new_slices(found, ranks_PM, len(self._counts), self._trained),
      ),
      passport=passport,
    )


class TagMeter:
  """The places of the tags of an item: of the next one, or of one asked about.

  Args:
    tags_of_item: int32 [C + N, M], padded with UNKNOWN.
    counts: of the tags of training.
    new_tags: how many came after training.
    new_items: N of `tags_of_item`.
    trained: as for `ItemMeter`.
    calibration: which tags to choose, for the F1 of sets; None for none.
  """

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
  ):
    self._rules = rules
    self._tags_of_item = without_repeats(tags_of_item)
    self._counts, self._new = counts.with_new(new_tags), new_tags
    self._num_tags = len(counts.of_tag)
    self._num_items = len(tags_of_item) - new_items
    self._trained = trained
    self._chosen = (
      Chosen(calibration, self._num_tags + new_tags) if calibration else None
    )
    self._size, self._passport = self._num_tags, protocols.TAG_PASSPORT
    self._answers = answers.Answers()
    self._unknown = self._without_tags = 0

  def add(self, batch: Batch, scores_BC: Any) -> None:
    """Takes scores of all tags, see `ItemMeter.add`."""
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
    scores_BC = answers.checked(scores_BC, batch, self._num_tags, self._new)
    self._size = scores_BC.shape[1]
    none_seen_BH = jnp.asarray(relevant_BM[:, :0])
    lists_BK, _ = topk.top_k(scores_BC, max(self._rules.cutoffs), none_seen_BH)
    kept = {
      "question": batch["question"],
      "ranks": ranking.relevant_ranks(scores_BC, jnp.asarray(relevant_BM)),
      "relevant": relevant_BM,
      "lists": lists_BK,
      "target": target_B,
    }
    if "history_lengths" in batch:
      kept["lengths"] = batch["history_lengths"]
    if self._size > self._num_tags:
      # Places among the new tags alone.
      new_BM = np.maximum(relevant_BM - self._num_tags, UNKNOWN)
      kept["new_ranks"] = ranking.relevant_ranks(
        scores_BC[:, self._num_tags :], jnp.asarray(new_BM)
      )
    if self._chosen:
      kept |= self._chosen.add(scores_BC, relevant_BM, asked_B & tagged_B)
    self._answers.add(asked_B & tagged_B, **kept)

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
      metrics.TAG_METRICS,
      ranks_PM,
      found["lists"],
      gains_PM=gains_V[np.maximum(relevant_PM, 0)],
      asked=self._asked(len(ranks_PM)),
      slices=self._slices(found),
      passport=passport,
    )
    return self._chosen.told(self._rules, made, found) if self._chosen else made

  def _asked(self, count: int) -> dict[str, int]:
    if self._passport is protocols.PRODUCT_PASSPORT:
      return {"products": count, "without_tags": self._without_tags}
    return {
      "people": count,
      "unknown_targets": self._unknown,
      "without_tags": self._without_tags,
    }

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
    return *parts, *_new_slices(found, ranks_PM, self._num_items, self._trained)


Meter = ItemMeter | TagMeter


def evaluate(
  score: Callable[[Batch], Any], batches: Iterable[Batch], meter: Meter
) -> Report:
  """Asks for scores [B, C] of every batch."""
  for batch in batches:
    meter.add(batch, score(batch))
  return meter.report()


def _new_slices(
  found: dict[str, np.ndarray],
  ranks_PM: np.ndarray,
  num_items: int,
  trained_Q: np.ndarray | None,
) -> list[slices.Slice]:
  """By whether training had the item, and the person."""
  new_P = found["target"] >= num_items
  parts = slices.by_newness("target product", new_P, ranks_PM)
  if trained_Q is not None:
    new_P = trained_Q[found["question"]] == 0
    parts += slices.by_newness("person", new_P, ranks_PM)
  return parts


def _repeats(batch: Batch) -> np.ndarray:
  """Whose target is in their own history, bool [B]."""
  target_B1 = batch["target_ids"][:, None]
  return ((batch["seen_ids"] == target_B1) & (target_B1 >= 0)).any(axis=1)


def without_repeats(ids_CM: np.ndarray) -> np.ndarray:
  """Each row sorted, an id listed again replaced by padding."""
  ids_CM = np.sort(ids_CM, axis=1)
  repeat_CM = np.zeros(ids_CM.shape, bool)
  repeat_CM[:, 1:] = ids_CM[:, 1:] == ids_CM[:, :-1]
  return np.where(repeat_CM, UNKNOWN, ids_CM)
