"""How many tags to give: a rule chosen on held-out products.

A ranked list says which tags come first, not where to stop. Three rules are
tried; for each, the best cut is found exactly, by sorting.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from tagrec_jax.core.errors import UserError
from tagrec_jax.decoding import topk
from tagrec_jax.decoding.tiles import rows_of
from tagrec_jax.evaluation import ranking

SCORE, SHARE, COUNT = "score", "share", "count"
RULES = (SCORE, SHARE, COUNT)
_MOST = 100  # tags that rule 'count' gives at most


@dataclasses.dataclass(frozen=True)
class Calibration:
  """A rule that turns scores into a set of tags.

  The set is always a beginning of the ranked list.

  Attributes:
    rule: 'score': a tag is chosen if its score reaches the threshold; 'share':
      if the logarithm of its softmax over all tags does; 'count': as many are
      chosen for every product as the threshold says.
    threshold: see `rule`.
    micro_f1: what the rule reached where it was chosen.
  """

  rule: str
  threshold: float
  micro_f1: float

  def chosen(self, scores_BC: Float[Array, "B C"]) -> Bool[Array, "B C"]:
    """Which tags of each row are given."""
    if self.rule == COUNT:
      return _best(scores_BC, int(self.threshold))
    return _reaching(self.rule, scores_BC, jnp.float32(self.threshold))

  def to_dict(self) -> dict[str, Any]:
    """Values that JSON can hold; `from_dict` reads them back."""
    return dataclasses.asdict(self)

  @classmethod
  def from_dict(cls, values: dict[str, Any]) -> Calibration:
    """Raises UserError if the rule is not known."""
    if values.get("rule") not in RULES:
      raise UserError(
        "calibration",
        f"found the rule {values.get('rule')!r}",
        f"one of {', '.join(RULES)}",
        "calibrate the model again",
      )
    return cls(**values)


def calibrate(scores_PC: Any, relevant_PM: np.ndarray) -> Calibration:
  """The rule and threshold with the best micro-F1; the first of equal ones.

  Args:
    scores_PC: of products that training did not see.
    relevant_PM: int32, the tags of each, distinct, padded with UNKNOWN. One
      that has no column is missed by every rule.

  Raises:
    UserError: if no tag is right.
  """
  scores_PC = jnp.asarray(scores_PC, jnp.float32)
  reachable_PM = (relevant_PM >= 0) & (relevant_PM < scores_PC.shape[1])
  if not reachable_PM.any():
    raise UserError(
      "calibration",
      "found no product with a tag the model can give",
      "at least one",
      "check the split of the data set",
    )
  relevant = int((relevant_PM >= 0).sum())
  right_PC = np.zeros(scores_PC.shape, bool)
  rows, places = np.nonzero(reachable_PM)
  right_PC[rows, relevant_PM[rows, places]] = True
  found = [
    _best_threshold(rule, scores_PC, right_PC, relevant)
    for rule in (SCORE, SHARE)
  ]
  found.append(_best_count(scores_PC, relevant_PM, relevant))
  return max(found, key=lambda calibration: calibration.micro_f1)


def _best_threshold(
  rule: str, scores_PC: jax.Array, right_PC: np.ndarray, relevant: int
) -> Calibration:
  values_PC = np.asarray(_values(rule, scores_PC))
  hits = values_PC[right_PC]
  hits = hits[np.isfinite(hits)]
  if not hits.size:
    return Calibration(rule, 0.0, 0.0)
  # Below the lowest right one there are only wrong ones.
  kept_PC = values_PC >= hits.min()
  values, right = values_PC[kept_PC], right_PC[kept_PC]
  order = np.argsort(-values, kind="stable")
  values, right = values[order], right[order]
  f1 = 2 * np.cumsum(right) / (np.arange(1, len(values) + 1) + relevant)
  # Equal values are chosen together.
  ends = np.flatnonzero(np.append(values[1:] < values[:-1], True))
  best = ends[np.argmax(f1[ends])]
  return Calibration(rule, _gap(values_PC, values[best]), float(f1[best]))


def _gap(values: np.ndarray, lowest: np.float32) -> float:
  """The middle between the lowest value chosen and the next, a float32.

  There, rounding moves nothing over the threshold.
  """
  lower = values[(values < lowest) & np.isfinite(values)]
  if not lower.size:
    return float(lowest)
  middle = np.float32((float(lowest) + float(lower.max())) / 2)
  return float(middle if middle > lower.max() else lowest)


def _best_count(
  scores_PC: jax.Array, relevant_PM: np.ndarray, relevant: int
) -> Calibration:
  ranks_PM = np.asarray(ranking.relevant_ranks(rows_of(scores_PC), relevant_PM))
  counts_K = np.arange(1, min(_MOST, scores_PC.shape[1]) + 1)
  hits_K = np.bincount(
    np.minimum(ranks_PM, len(counts_K) + 1).ravel(),
    minlength=len(counts_K) + 2,
  )[1:-1].cumsum()
  # A tag that must not be recommended is in no list.
  given_P = np.asarray((topk.comparable(scores_PC) > topk.NEVER).sum(axis=1))
  chosen_K = np.minimum(given_P[:, None], counts_K[None]).sum(axis=0)
  f1_K = 2 * hits_K / (chosen_K + relevant)
  best = int(np.argmax(f1_K))
  return Calibration(COUNT, float(counts_K[best]), float(f1_K[best]))


@functools.partial(jax.jit, static_argnames="rule")
def _values(rule: str, scores_BC: jax.Array) -> jax.Array:
  """What a rule compares with its threshold."""
  scores_BC = topk.comparable(scores_BC)
  return jax.nn.log_softmax(scores_BC) if rule == SHARE else scores_BC


@functools.partial(jax.jit, static_argnames="rule")
def _reaching(
  rule: str, scores_BC: jax.Array, threshold: jax.Array
) -> jax.Array:
  return _values(rule, scores_BC) >= threshold


@functools.partial(jax.jit, static_argnames="count")
def _best(scores_BC: jax.Array, count: int) -> jax.Array:
  ids_BK, _ = topk.largest(topk.comparable(scores_BC), count)
  size = scores_BC.shape[1]
  rows_B1 = jnp.arange(len(scores_BC))[:, None]
  columns_BK = jnp.where(ids_BK < 0, size, ids_BK)
  none_BC = jnp.zeros(scores_BC.shape, bool)
  return none_BC.at[rows_B1, columns_BK].set(True, mode="drop")
