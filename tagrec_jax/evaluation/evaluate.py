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
from tagrec_jax.evaluation.protocols import TAG_PASSPORT, Protocol
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
    ranks_B, lists_BK = ranking.ranks_and_lists(
      _scores(score, batch, len(item_counts)),
      jnp.asarray(batch["target_ids"]),
      jnp.asarray(batch["seen_ids"]),
      protocol,
      max(cutoffs),
    )
    repeats += int((_repeats(batch) & batch["mask"]).sum())
    answers.add(batch, ranks_B[:, None], lists_BK, batch["mask"])
  ranks_PM, lists_PK, target_P, lengths_P = answers.join("person to ask")
  names, size = metrics.ITEM_METRICS, len(item_counts)
  return Report(
    _means(names, cutoffs, ranks_PM, lists_PK, size),
    _intervals(names, cutoffs, ranks_PM, bootstrap_samples, seed),
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
      "catalogue": size,
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
  names = metrics.TAG_METRICS
  return Report(
    _means(names, cutoffs, ranks_PM, lists_PK, num_tags),
    _intervals(names, cutoffs, ranks_PM, bootstrap_samples, seed),
    people={
      "people": len(ranks_PM),
      "unknown_targets": unknown,
      "without_tags": without_tags,
    },
    slices=tuple(slices.by_history(ranks_PM, lengths_P)),
    passport={
      **passport,
      **TAG_PASSPORT,
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
