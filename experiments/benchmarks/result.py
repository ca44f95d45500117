"""What a part of the benchmark finds, as it is kept and shown."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.benchmarks.contest import Score


@dataclasses.dataclass(frozen=True)
class Target:
  """A promise and what came of it.

  Attributes:
    what: is compared.
    found, lowest, highest: median and extremes over the rounds.
    wanted: the limit.
    at_most: whether the limit is from above.
  """

  what: str
  found: float
  wanted: float
  lowest: float = math.nan
  highest: float = math.nan
  at_most: bool = False

  @property
  def met(self) -> bool:
    if self.at_most:
      return self.found <= self.wanted
    return self.found >= self.wanted


@dataclasses.dataclass(frozen=True)
class Curve:
  """One line of a plot: y at each x."""

  name: str
  x: list[float]
  y: list[float]


@dataclasses.dataclass(frozen=True)
class Plot:
  """Curves on logarithmic axes, in one picture."""

  x: str
  y: str
  curves: list[Curve]


@dataclasses.dataclass(frozen=True)
class Floor:
  """What a piece of work takes, and the least that it could.

  Attributes:
    piece: its name.
    found: milliseconds.
    least: milliseconds, at the machine's limits of operations and bytes.
  """

  piece: str
  found: float
  least: float


@dataclasses.dataclass(frozen=True)
class Result:
  """One part.

  Attributes:
    title: what was measured.
    unit: of rates, such as 'questions/s'.
    conditions: how, for people to read.
    groups: scores; a group has its own reference, the first of it.
    targets: promises.
    plots: curves.
    floors: pieces of work beside their limits.
  """

  title: str
  conditions: Mapping[str, Any]
  unit: str = ""
  groups: Sequence[Sequence[Score]] = ()
  targets: Sequence[Target] = ()
  plots: Sequence[Plot] = ()
  floors: Sequence[Floor] = ()


def faster(
  scores: Sequence[Score], mine: str, theirs: str, wanted: float
) -> list[Target]:
  """How many times the rate of one is that of the other, round by round.

  Nothing if one of them did not live.
  """
  by_name = {score.name: score for score in scores}
  if mine not in by_name or theirs not in by_name:
    return []
  ratios = [
    a / b
    for a, b in zip(by_name[mine].rates, by_name[theirs].rates, strict=True)
  ]
  return [
    Target(
      f"speed: {mine} / {theirs}",
      statistics.median(ratios),
      wanted,
      min(ratios),
      max(ratios),
    )
  ]


def smaller(
  scores: Sequence[Score], mine: str, theirs: str, wanted: float
) -> list[Target]:
  """What fraction of the other's peak memory one takes."""
  by_name = {score.name: score for score in scores}
  if mine not in by_name or theirs not in by_name:
    return []
  found = by_name[mine].peak_bytes / by_name[theirs].peak_bytes
  return [
    Target(f"peak memory: {mine} / {theirs}", found, wanted, at_most=True)
  ]
