"""Ask a model about held-out events and measure the answers in one pass.

A meter is given batches and the scores a model has for them, and reports what
it found with people in the order of their questions. A batch has `question`
int32 [B], the place of each row among all questions, UNKNOWN for rows that only
fill it up; target_ids int32 [B]; seen_ids int32 [B, H] padded by UNKNOWN;
history_lengths [B]; whatever else the model reads.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.decoding import topk
from tagrec_jax.evaluation import bootstrap, metrics, protocols, ranking, slices
from tagrec_jax.evaluation.report import Report

Batch = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Rules:
  """What all meters of an evaluation share.

  Attributes:
    cutoffs: K of the metrics.
    bootstrap_samples: resamples for 95 % intervals; 0 for none.
    seed: of the resamples.
    passport: what the caller knows: model, data set, fingerprint, split.
  """

  cutoffs: Sequence[int]
  bootstrap_samples: int
  seed: int
  passport: dict[str, Any]


class ItemMeter:
  """The place of the item each person takes next.

  Args:
    protocol: how seen items are treated.
    item_counts: training events of each item, int [C].
  """

  def __init__(
    self,
    rules: Rules,
    *,
    protocol: protocols.Protocol,
    item_counts: np.ndarray,
  ):
    self._rules = rules
    self._protocol = protocol
    self._counts = item_counts
    self._answers = _Answers()
    self._repeats = 0

  def add(self, batch: Batch, scores_BC: Any) -> None:
    """Takes scores of all items, numpy or JAX, higher is better.

    Raises:
      UserError: scores of another shape.
    """
    asked_B = batch["question"] >= 0
    ranks_B, lists_BK = ranking.ranks_and_lists(
      _checked(scores_BC, batch, len(self._counts)),
      jnp.asarray(batch["target_ids"]),
      jnp.asarray(batch["seen_ids"]),
      self._protocol,
      max(self._rules.cutoffs),
    )
    self._repeats += int((_repeats(batch) & asked_B).sum())
    self._answers.add(batch, ranks_B, lists_BK, asked_B)

  def report(self) -> Report:
    """What was found so far.

    Raises:
      UserError: there was nobody to ask.
    """
    ranks_PM, lists_PK, target_P, lengths_P = self._answers.join(
      "person to ask"
    )
    size = len(self._counts)
    return _report(
      self._rules,
      metrics.ITEM_METRICS,
      ranks_PM,
      lists_PK,
      people={
        "unknown_targets": int((target_P < 0).sum()),
        "repeats": self._repeats,
      },
      parts=(
        *slices.by_popularity(ranks_PM, target_P, self._counts),
        *slices.by_history(ranks_PM, lengths_P),
      ),
      passport=self._protocol.passport() | {"catalogue": size},
    )


class TagMeter:
  """The places of the tags of the item each person takes next.

  Args:
    tags_of_item: int32 [C, M], padded with UNKNOWN.
  """

  def __init__(self, rules: Rules, *, tags_of_item: np.ndarray, num_tags: int):
    self._rules = rules
    self._tags_of_item = _without_repeats(tags_of_item)
    self._num_tags = num_tags
    self._answers = _Answers()
    self._unknown = self._without_tags = 0

  def add(self, batch: Batch, scores_BC: Any) -> None:
    """Takes scores of all tags, see `ItemMeter.add`."""
    asked_B, target_B = batch["question"] >= 0, batch["target_ids"]
    known_B = target_B >= 0
    relevant_BM = np.where(
      known_B[:, None], self._tags_of_item[np.maximum(target_B, 0)], UNKNOWN
    )
    tagged_B = (relevant_BM >= 0).any(axis=1)
    self._unknown += int((asked_B & ~known_B).sum())
    self._without_tags += int((asked_B & known_B & ~tagged_B).sum())
    scores_BC = _checked(scores_BC, batch, self._num_tags)
    ranks_BM = ranking.relevant_ranks(scores_BC, jnp.asarray(relevant_BM))
    none_seen_BH = jnp.asarray(relevant_BM[:, :0])
    lists_BK, _ = topk.top_k(scores_BC, max(self._rules.cutoffs), none_seen_BH)
    self._answers.add(batch, ranks_BM, lists_BK, asked_B & tagged_B)

  def report(self) -> Report:
    """What was found so far, see `ItemMeter.report`."""
    ranks_PM, lists_PK, _, lengths_P = self._answers.join("next item with tags")
    return _report(
      self._rules,
      metrics.TAG_METRICS,
      ranks_PM,
      lists_PK,
      people={
        "unknown_targets": self._unknown,
        "without_tags": self._without_tags,
      },
      parts=tuple(slices.by_history(ranks_PM, lengths_P)),
      passport=protocols.TAG_PASSPORT | {"catalogue": self._num_tags},
    )


Meter = ItemMeter | TagMeter


def evaluate(
  score: Callable[[Batch], Any], batches: Iterable[Batch], meter: Meter
) -> Report:
  """Asks for scores [B, C] of every batch."""
  for batch in batches:
    meter.add(batch, score(batch))
  return meter.report()


class _Answers:
  """Collects what is kept of each batch: a few numbers a person.

  The last batch is fetched when the next one comes, so that the next one is
  made while the device still computes.
  """

  def __init__(self):
    self._parts: list[tuple[np.ndarray, ...]] = []
    self._last: tuple[tuple[Any, ...], np.ndarray] | None = None

  def add(
    self, batch: Batch, ranks: Any, lists_BK: Any, keep_B: np.ndarray
  ) -> None:
    """Ranks [B] or [B, M] and lists of those people who are kept."""
    self._fetch()
    known = (batch[n] for n in ("target_ids", "history_lengths"))
    self._last = (batch["question"], ranks, lists_BK, *known), keep_B

  def _fetch(self) -> None:
    if self._last is not None:
      arrays, keep_B = self._last
      self._parts.append(tuple(np.asarray(a)[keep_B] for a in arrays))
      self._last = None

  def join(self, wanted: str) -> tuple[np.ndarray, ...]:
    """Ranks [P, M], lists, targets and history lengths by question."""
    self._fetch()
    if not any(len(part[0]) for part in self._parts):
      raise UserError(
        "evaluation",
        f"found no {wanted}",
        "at least one",
        "check the split of the data set",
      )
    question_P, ranks, *others = (
      np.concatenate(arrays) for arrays in zip(*self._parts, strict=True)
    )
    order = np.argsort(question_P)
    ranks_PM = ranks.reshape(len(ranks), -1)
    return tuple(array[order] for array in (ranks_PM, *others))


def _report(
  rules: Rules,
  names: Sequence[str],
  ranks_PM: np.ndarray,
  lists_PK: np.ndarray,
  *,
  people: Mapping[str, int],
  parts: tuple[slices.Slice, ...],
  passport: Mapping[str, Any],
) -> Report:
  return Report(
    _means(names, rules.cutoffs, ranks_PM, lists_PK, passport["catalogue"]),
    _intervals(
      names, rules.cutoffs, ranks_PM, rules.bootstrap_samples, rules.seed
    ),
    people={"people": len(ranks_PM), **people},
    slices=parts,
    passport={
      **rules.passport,
      **passport,
      "bootstrap": _bootstrap_sentence(rules.bootstrap_samples, rules.seed),
    },
    ranks_PM=ranks_PM,
  )


def _means(
  names: Sequence[str],
  cutoffs: Sequence[int],
  ranks_PM: np.ndarray,
  lists_PK: np.ndarray,
  catalogue: int,
) -> dict[str, float]:
  """The named metrics at every cutoff."""
  return {
    f"{name}@{k}": metrics.LIST_METRICS[name](lists_PK, k, catalogue)
    if name in metrics.LIST_METRICS
    else float(metrics.RANK_METRICS[name](ranks_PM, k).mean())
    for name in names
    for k in cutoffs
  }


def _intervals(
  names: Sequence[str],
  cutoffs: Sequence[int],
  ranks_PM: np.ndarray,
  samples: int,
  seed: int,
) -> dict[str, tuple[float, float]]:
  """Bootstrap intervals of those metrics that are means over people."""
  if not samples:
    return {}
  return {
    f"{name}@{k}": bootstrap.interval(
      metrics.RANK_METRICS[name](ranks_PM, k), samples, seed
    )
    for name in names
    for k in cutoffs
    if name in metrics.RANK_METRICS
  }


def _repeats(batch: Batch) -> np.ndarray:
  """Whose target is in their own history, bool [B]."""
  target_B1 = batch["target_ids"][:, None]
  return ((batch["seen_ids"] == target_B1) & (target_B1 >= 0)).any(axis=1)


def _without_repeats(ids_CM: np.ndarray) -> np.ndarray:
  """Each row sorted, an id listed again replaced by padding."""
  ids_CM = np.sort(ids_CM, axis=1)
  repeat_CM = np.zeros(ids_CM.shape, bool)
  repeat_CM[:, 1:] = ids_CM[:, 1:] == ids_CM[:, :-1]
  return np.where(repeat_CM, UNKNOWN, ids_CM)


def _checked(scores_BC: Any, batch: Batch, catalogue: int) -> jax.Array:
  """The scores of a batch, on the device, checked to be [B, catalogue]."""
  scores_BC = jnp.asarray(scores_BC, jnp.float32)
  wanted = (len(batch["question"]), catalogue)
  if scores_BC.shape != wanted:
    raise UserError(
      "evaluation",
      f"found scores of shape {scores_BC.shape}",
      f"{wanted}: a row for each person, a column for each entry",
      "let the model score the whole catalogue of this data set",
    )
  return scores_BC


def _bootstrap_sentence(samples: int, seed: int) -> str:
  if not samples:
    return "no intervals"
  return (
    f"95 % percentile intervals, {samples} resamples of people, seed {seed}"
  )
