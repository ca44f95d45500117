"""What the moment of a question is worth: the same question at another one.

A model that reads the moment may still not need it. So it is asked again with
the moments of all questions shuffled; what it loses is the gain of the true
ones, paired question by question.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from rich.table import Table

from tagrec_jax.data.pipeline import Batch
from tagrec_jax.data.spec import Part, batch_key
from tagrec_jax.evaluation import metrics, paired
from tagrec_jax.evaluation.report import Report


def at_other_moments(
  batches: Callable[[], Iterator[Batch]], seed: int
) -> Iterator[Batch]:
  """The questions of `batches`, the moments of all of them shuffled.

  All features of a moment stay together; the history stays as it is.

  Args:
    batches: the same questions each time, with `question` and `last` int32 [B]
      and `moment_*` int32 [B, S].
  """
  asked, moments = _moments(batches())
  order = np.random.default_rng(seed).permutation(len(asked))
  other = dict(zip(asked, order.tolist(), strict=True))
  for batch in batches():
    rows = np.flatnonzero(batch["question"] >= 0)
    places = [other[number] for number in batch["question"][rows].tolist()]
    changed = {}
    for name, values in moments.items():
      changed[name] = batch[name].copy()
      changed[name][rows, batch["last"][rows]] = values[places]
    yield batch | changed


def _moments(
  batches: Iterator[Batch],
) -> tuple[list[int], dict[str, np.ndarray]]:
  """(numbers of the questions, feature → the class of each one's moment)."""
  asked: list[int] = []
  found: dict[str, list[np.ndarray]] = {}
  for batch in batches:
    rows = np.flatnonzero(batch["question"] >= 0)
    asked += batch["question"][rows].tolist()
    for name in batch:
      if name.startswith(batch_key(Part.MOMENT, "")):
        values = batch[name][rows, batch["last"][rows]]
        found.setdefault(name, []).append(values)
  return asked, {n: np.concatenate(parts) for n, parts in found.items()}


@dataclasses.dataclass(frozen=True)
class Gain:
  """What true moments are worth in one measure.

  Attributes:
    true, shuffled: the measure with either.
    interval: 95 % of true - shuffled, over resamples of the questions.
  """

  true: float
  shuffled: float
  interval: tuple[float, float]


def gains(
  true: Report, shuffled: Sequence[Report], samples: int, seed: int
) -> dict[str, Gain]:
  """Measure → gain, for all rank metrics of a report.

  Args:
    shuffled: of several shuffles, which are averaged.
    samples: resamples of the bootstrap.
  """
  found = {}
  for name in true.metrics:
    kind, at, _ = name.partition("@")
    if not at or kind not in metrics.RANK_METRICS:
      continue
    nothing = np.zeros((0, 0))
    ours, *others = (
      paired.measured(name, report.ranks_PM, nothing).by(true.who_P)
      for report in (true, *shuffled)
    )
    theirs = paired.mean(others)
    interval = paired.difference(ours, theirs, samples, seed)
    found[name] = Gain(ours.value, theirs.value, interval)
  return found


def table(found: dict[str, Gain], names: Sequence[str]) -> Table:
  """One row a measure."""
  shown = Table(title="what the moment is worth")
  shown.add_column("measure")
  for title in ("true moments", "shuffled", "gain", "95 %"):
    shown.add_column(title, justify="right")
  for name in names:
    if name not in found:
      continue
    gain = found[name]
    low, high = gain.interval
    shown.add_row(
      name,
      f"{gain.true:.4f}",
      f"{gain.shuffled:.4f}",
      f"{gain.true - gain.shuffled:+.4f}",
      f"[{low:+.4f}, {high:+.4f}]",
    )
  return shown
