"""What meters keep of each batch, and what they all report."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tagrec_jax.core.errors import UserError
from tagrec_jax.decoding.tiles import Rows, rows_of
from tagrec_jax.evaluation import bootstrap, metrics
from tagrec_jax.evaluation.entries import Entries
from tagrec_jax.evaluation.report import Report
from tagrec_jax.evaluation.slices import Slice

Batch = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Rules:
  """What all meters of an evaluation share.

  Attributes:
    cutoffs: K of the metrics.
    bootstrap_samples: resamples for 95 % intervals; 0 for none.
    seed: of the resamples.
    approximate: `evaluation.approximate_recall`, told beside what it came to.
    passport: what the caller knows: model, data set, fingerprint, split.
  """

  cutoffs: Sequence[int]
  bootstrap_samples: int
  seed: int
  passport: dict[str, Any]
  approximate: float = 0.0

  def interval(
    self, values_P: np.ndarray, weights_P: np.ndarray | None = None
  ) -> tuple[float, float]:
    """See `bootstrap.interval`."""
    return bootstrap.interval(
      values_P, self.bootstrap_samples, self.seed, weights_P
    )


class Answers:
  """Collects what is kept of each batch: a few numbers a question.

  The last batch is fetched when the next one comes, so that the next one is
  made while the device still computes.
  """

  def __init__(self) -> None:
    self._parts: list[dict[str, np.ndarray]] = []
    self._last: tuple[dict[str, Any], np.ndarray] | None = None

  def add(self, keep_B: np.ndarray, **arrays: Any) -> None:
    """Arrays [B, ...], among them `question`, of those that are kept."""
    self._fetch()
    self._last = arrays, keep_B

  def _fetch(self) -> None:
    if self._last is not None:
      arrays, keep_B = self._last
      self._parts.append({n: np.asarray(a)[keep_B] for n, a in arrays.items()})
      self._last = None

  def join(self, wanted: str) -> dict[str, np.ndarray]:
    """What was added, in the order of the questions.

    Raises:
      UserError: there was nothing to ask.
    """
    self._fetch()
    if not any(len(part["question"]) for part in self._parts):
      raise UserError(
        "evaluation",
        f"found no {wanted}",
        "at least one",
        "check the split of the data set",
      )
    joined = {
      name: np.concatenate([part[name] for part in self._parts])
      for name in self._parts[0]
    }
    order = np.argsort(joined["question"])
    return {name: array[order] for name, array in joined.items()}


def checked(scores: Any, batch: Batch, trained: int, new: int) -> Rows:
  """What is ranked for a batch, checked to be of the catalogue.

  Args:
    scores: `Rows`, or an array [B, C].
    trained, new: entries of training, and those that came after it; scores of
      the latter may be missing altogether.

  Raises:
    UserError: scores of another shape.
  """
  rows = rows_of(scores)
  questions = len(batch["question"])
  wanted = [(questions, trained)]
  if new:
    wanted.append((questions, trained + new))
  if rows.shape not in wanted:
    raise UserError(
      "evaluation",
      f"found scores of shape {rows.shape}",
      f"{' or '.join(map(str, wanted))}: a row for each question, a column for"
      " each entry",
      "let the model score the whole catalogue of this data set",
    )
  return rows


def report(
  rules: Rules,
  names: Sequence[str],
  ranks_PM: np.ndarray,
  lists_PK: np.ndarray,
  *,
  gains_PM: np.ndarray | None = None,
  entries: Entries | None = None,
  asked: dict[str, int],
  slices: tuple[Slice, ...],
  passport: dict[str, Any],
  who_P: np.ndarray | None = None,
) -> Report:
  """The named metrics at every cutoff, with slices and passport.

  Args:
    gains_PM: of gain metrics.
    entries: of list metrics; None leaves these out, as profiles that are not
      known leave out 'diversity'.
    asked: who was asked, such as {'people': 40}, and what was special.
    passport: with the size of the catalogue.
    who_P: see `Report`.
  """
  catalogue = passport["catalogue"]
  who = next(iter(asked)) if who_P is None else "people"
  values: dict[str, float] = {}
  intervals: dict[str, tuple[float, float]] = {}
  for name in names:
    for k in rules.cutoffs:
      key = f"{name}@{k}"
      if name in metrics.CATALOGUE_METRICS:
        metric = metrics.CATALOGUE_METRICS[name]
        values[key] = metric(lists_PK, k, catalogue)
        continue
      if name in metrics.LIST_METRICS and not _known(name, entries):
        continue
      columns_PE, combine = _columns(
        name, k, ranks_PM, lists_PK, gains_PM, entries
      )
      if who_P is not None:
        columns_PE = bootstrap.means_of(columns_PE, who_P)
      values[key] = float(combine(columns_PE.mean(axis=0, keepdims=True))[0])
      if rules.bootstrap_samples:
        intervals[key] = bootstrap.interval_of_means(
          columns_PE, combine, rules.bootstrap_samples, rules.seed
        )
  return Report(
    metrics=values,
    intervals=intervals,
    people=asked,
    slices=slices,
    passport={
      **rules.passport,
      **passport,
      **({"profiles": entries.told} if entries and entries.told else {}),
      "bootstrap": _bootstrap_sentence(rules, who),
    },
    ranks_PM=ranks_PM,
    who_P=who_P,
  )


def _known(name: str, entries: Entries | None) -> bool:
  """Whether a list metric can be computed."""
  return entries is not None and (
    name != "diversity" or entries.profiles is not None
  )


def _columns(
  name: str,
  k: int,
  ranks_PM: np.ndarray,
  lists_PK: np.ndarray,
  gains_PM: np.ndarray | None,
  entries: Entries | None,
) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
  """Numbers of each person [P, E], and what makes one of their means."""
  if name in metrics.MEAN_METRICS:
    of_means = metrics.MEAN_METRICS[name]
    parts = [metrics.RANK_METRICS[n](ranks_PM, k) for n in of_means.parts]
    return np.stack(parts, axis=1), of_means.combine
  if name in metrics.GAIN_METRICS:
    assert gains_PM is not None, f"{name} weighs entries"
    gain_metric = metrics.GAIN_METRICS[name]
    return np.stack(gain_metric(ranks_PM, gains_PM, k), axis=1), _ratio
  if name in metrics.LIST_METRICS:
    assert entries is not None, f"{name} reads entries"
    return metrics.LIST_METRICS[name](lists_PK, k, entries)[:, None], _first
  return metrics.RANK_METRICS[name](ranks_PM, k)[:, None], _first


def _first(means_SE: np.ndarray) -> np.ndarray:
  return means_SE[:, 0]


def _ratio(means_SE: np.ndarray) -> np.ndarray:
  # A resample of nothing but weights 0 says 0.
  return means_SE[:, 0] / np.maximum(means_SE[:, 1], 1e-12)


def _bootstrap_sentence(rules: Rules, who: str) -> str:
  if not rules.bootstrap_samples:
    return "no intervals"
  return (
    f"95 % percentile intervals, {rules.bootstrap_samples} resamples of {who},"
    f" seed {rules.seed}"
  )
