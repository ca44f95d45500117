"""Ask a model about held-out events and measure the answers in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.decoding import topk
from tagrec_jax.evaluation import bootstrap, metrics, ranking, slices
from tagrec_jax.evaluation.protocols import UNMASKED, Protocol
from tagrec_jax.evaluation.report import Report

Batch = Mapping[str, Any]
Score = Callable[[Batch], Any]


def evaluate(
  score: Score,
  batches: Iterable[Batch],
  *,
  protocol: Protocol,
  cutoffs: Sequence[int],
  bootstrap_samples: int,
  seed: int,
  item_counts: np.ndarray,
  passport: Mapping[str, Any],
) -> Report:
  """Ranks the item each person takes next.

  Args:
    score: batch → scores [B, C], numpy or JAX, higher is better.
    batches: each with target_ids int32 [B], seen_ids int32 [B, H] padded with
      UNKNOWN, history_lengths [B] and mask bool [B], False for rows that only
      fill up the batch; whatever else `score` reads.
    protocol: how seen items are treated.
    cutoffs: K of the metrics.
    bootstrap_samples: resamples for 95 % intervals; 0 for none.
    seed: of the resamples.
    item_counts: training events of each item, int [C].
    passport: what the caller knows: model, data set, fingerprint, split.

  Raises:
    UserError: nobody to ask, or scores of another shape.
  """
  answers = _Answers()
  repeats = 0
  for batch in batches:
    mask_B, target_B = batch["mask"], batch["target_ids"]
    scores_BC = _scores(score, batch, len(item_counts))
    ranks_B, lists_BK = ranking.ranks_and_lists(
      scores_BC,
      jnp.asarray(target_B),
      jnp.asarray(batch["seen_ids"]),
      protocol,
      max(cutoffs),
    )
    known_B1 = (target_B >= 0)[:, None]
    repeat_B = ((batch["seen_ids"] == target_B[:, None]) & known_B1).any(axis=1)
    repeats += int((repeat_B & mask_B).sum())
    answers.add(batch, np.asarray(ranks_B)[:, None], lists_BK, mask_B)
  ranks_PM, lists_PK, target_P, lengths_P = answers.join("person to ask")
  values, intervals = _measure(
    metrics.ITEM_METRICS,
    cutoffs,
    ranks_PM,
    lists_PK,
    len(item_counts),
    bootstrap_samples,
    seed,
  )
  return Report(
    values,
    intervals,
    people={
      "people": len(ranks_PM),
      "unknown_targets": int((target_P < 0).sum()),
      "repeats": repeats,
    },
    slices=(
      *slices.by_popularity(ranks_PM, target_P, item_counts),
      *slices.by_history(ranks_PM, lengths_P),
    ),
    passport={
      **passport,
      **protocol.passport(),
      "catalogue": len(item_counts),
      "bootstrap": _bootstrap_sentence(bootstrap_samples, seed),
    },
    ranks_PM=ranks_PM,
  )


def evaluate_tags(
  score: Score,
  batches: Iterable[Batch],
  tags_of_item: np.ndarray,
  *,
  num_tags: int,
  cutoffs: Sequence[int],
  bootstrap_samples: int,
  seed: int,
  passport: Mapping[str, Any],
) -> Report:
  """Ranks all tags; those of the item each person takes next are right.

  Args:
    score: batch → scores [B, num_tags].
    batches: as for `evaluate`.
    tags_of_item: int32 [C, M], padded with UNKNOWN.
    Others: as for `evaluate`.

  Raises:
    UserError: no person's next item has tags, or scores of another shape.
  """
  tags_of_item = _without_repeats(tags_of_item)
  answers = _Answers()
  unknown = without_tags = 0
  for batch in batches:
    mask_B, target_B = batch["mask"], batch["target_ids"]
    known_B = target_B >= 0
    relevant_BM = np.where(
      known_B[:, None], tags_of_item[np.maximum(target_B, 0)], UNKNOWN
    )
    tagged_B = (relevant_BM >= 0).any(axis=1)
    unknown += int((mask_B & ~known_B).sum())
    without_tags += int((mask_B & known_B & ~tagged_B).sum())
    scores_BC = _scores(score, batch, num_tags)
    ranks_BM = ranking.relevant_ranks(scores_BC, jnp.asarray(relevant_BM))
    none_seen_BH = jnp.asarray(relevant_BM[:, :0])
    lists_BK, _ = topk.top_k(scores_BC, max(cutoffs), none_seen_BH)
    answers.add(batch, ranks_BM, lists_BK, mask_B & tagged_B)
  ranks_PM, lists_PK, _, lengths_P = answers.join("next item with tags")
  values, intervals = _measure(
    metrics.TAG_METRICS,
    cutoffs,
    ranks_PM,
    lists_PK,
    num_tags,
    bootstrap_samples,
    seed,
  )
  return Report(
    values,
    intervals,
    people={
      "people": len(ranks_PM),
      "unknown_targets": unknown,
      "without_tags": without_tags,
    },
    slices=tuple(slices.by_history(ranks_PM, lengths_P)),
    passport={
      **passport,
      "protocol": "tags",
      "candidates": "the whole tag vocabulary",
      "relevant": "all tags of the item taken next",
      "ties": UNMASKED.passport()["ties"],
      "dropped people": "those whose next item is unknown or has no tags",
      "catalogue": num_tags,
      "bootstrap": _bootstrap_sentence(bootstrap_samples, seed),
    },
    ranks_PM=ranks_PM,
  )


class _Answers:
  """Collects what is kept of each batch: a few numbers a person."""

  def __init__(self):
    self._parts: list[tuple[np.ndarray, ...]] = []

  def add(
    self, batch: Batch, ranks_BM: Any, lists_BK: Any, keep_B: Any
  ) -> None:
    self._parts.append(
      tuple(
        np.asarray(array)[keep_B]
        for array in (
          ranks_BM,
          lists_BK,
          batch["target_ids"],
          batch["history_lengths"],
        )
      )
    )

  def join(self, wanted: str) -> tuple[np.ndarray, ...]:
    """Ranks, lists, targets and history lengths of all people kept."""
    if not any(len(part[0]) for part in self._parts):
      raise UserError(
        "evaluation",
        f"found no {wanted}",
        "at least one",
        "check the split of the data set",
      )
    return tuple(
      np.concatenate(arrays) for arrays in zip(*self._parts, strict=True)
    )


def _measure(
  names: Sequence[str],
  cutoffs: Sequence[int],
  ranks_PM: np.ndarray,
  lists_PK: np.ndarray,
  catalogue: int,
  samples: int,
  seed: int,
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
  """Means and intervals of the named metrics at every cutoff."""
  values: dict[str, float] = {}
  intervals: dict[str, tuple[float, float]] = {}
  for name in names:
    for k in cutoffs:
      full_name = f"{name}@{k}"
      if name in metrics.LIST_METRICS:
        values[full_name] = metrics.LIST_METRICS[name](lists_PK, k, catalogue)
        continue
      values_P = metrics.RANK_METRICS[name](ranks_PM, k)
      values[full_name] = float(values_P.mean())
      if samples:
        intervals[full_name] = bootstrap.interval(values_P, samples, seed)
  return values, intervals


def _without_repeats(ids_CM: np.ndarray) -> np.ndarray:
  """Each row sorted, an id listed again replaced by padding."""
  ids_CM = np.sort(ids_CM, axis=1)
  repeat_CM = np.zeros(ids_CM.shape, bool)
  repeat_CM[:, 1:] = ids_CM[:, 1:] == ids_CM[:, :-1]
  return np.where(repeat_CM, UNKNOWN, ids_CM)


def _scores(score: Score, batch: Batch, catalogue: int) -> jax.Array:
  """The scores of a batch, on the device, checked to be [B, catalogue]."""
  scores_BC = jnp.asarray(score(batch), jnp.float32)
  wanted = (len(batch["target_ids"]), catalogue)
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
