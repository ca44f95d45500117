"""Ask a model about held-out events and measure the answers in one pass.

A meter is given batches and the scores a model has for them (arrays, or made a
tile at a time, see decoding/tiles.py), and reports what
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

import numpy as np

from tagrec_jax.evaluation import answers, metrics, protocols, ranking, slices
from tagrec_jax.evaluation.answers import Batch, Rules
from tagrec_jax.evaluation.approximate import Found
from tagrec_jax.evaluation.entries import Entries
from tagrec_jax.evaluation.report import Report
from tagrec_jax.evaluation.tag_meter import PostMeter, TagMeter


class ItemMeter:
  """The place of the item each person takes next.

  Args:
    protocol: how seen items are treated.
    item_counts: training events of each item of training, int [C].
    new_items: how many came after training.
    trained: training events of the person of each question, int [Q]; None
      where all people have some.
    entries: of items, new ones too, see `answers.report`.
  """

  def __init__(
    self,
    rules: Rules,
    *,
    protocol: protocols.Protocol,
    item_counts: np.ndarray,
    new_items: int = 0,
    trained: np.ndarray | None = None,
    entries: Entries | None = None,
  ):
    self._rules, self._entries = rules, entries
    self._protocol = protocol
    self._counts = item_counts
    self._new, self._size = new_items, len(item_counts)
    self._trained = trained
    self._answers = answers.Answers()
    self._repeats = 0
    self._found = (
      Found(rules.approximate, max(rules.cutoffs))
      if rules.approximate
      else None
    )

  def add(self, batch: Batch, scores: Any) -> None:
    """Takes `Rows`, or scores [B, C] of NumPy or JAX, higher is better.

    Raises:
      UserError: scores of another shape.
    """
    asked_B = batch["question"] >= 0
    rows = answers.checked(scores, batch, len(self._counts), self._new)
    self._size = rows.size
    ranks_B1, lists_BK = ranking.ranks_and_lists(
      rows,
      batch["target_ids"][:, None],
      batch["seen_ids"],
      self._protocol,
      max(self._rules.cutoffs),
    )
    if self._found:
      self._found.add(rows, batch["seen_ids"], asked_B)
    self._repeats += int((_repeats(batch) & asked_B).sum())
    self._answers.add(
      asked_B,
      question=batch["question"],
      ranks=ranks_B1,
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
    target_P, ranks_PM = found["target"], found["ranks"]
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
    if self._found:
      passport |= {"approximate lists": self._found.told()}
    return answers.report(
      self._rules,
      metrics.ITEM_METRICS,
      ranks_PM,
      found["lists"],
      entries=self._entries,
      asked=asked,
      slices=(
        *slices.by_popularity(ranks_PM, target_P, self._counts),
        *slices.by_history(ranks_PM, found["lengths"]),
        *slices.by_what_is_new(
          ranks_PM,
          target_P >= len(self._counts),
          found["question"],
          self._trained,
        ),
      ),
      passport=passport,
    )


Meter = ItemMeter | TagMeter | PostMeter


def evaluate(
  score: Callable[[Batch], Any], batches: Iterable[Batch], meter: Meter
) -> Report:
  """Asks for `Rows`, or scores [B, C], of every batch."""
  for batch in batches:
    meter.add(batch, score(batch))
  return meter.report()


def _repeats(batch: Batch) -> np.ndarray:
  """Whose target is in their own history, bool [B]."""
  target_B1 = batch["target_ids"][:, None]
  return ((batch["seen_ids"] == target_B1) & (target_B1 >= 0)).any(axis=1)
