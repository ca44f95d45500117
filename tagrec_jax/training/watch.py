"""Which evaluation was best, and when to stop waiting for a better one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.registry import nearest


@dataclasses.dataclass
class Watch:
  """Early stopping; saved with every checkpoint, so that a resumed run agrees.

  Attributes:
    name: of the watched metric; more is better.
    patience: evaluations without a better value before the end; 0: no limit.
    best, best_step: of the best evaluation so far.
    bad: evaluations since then.
    evaluated: the last step that was evaluated; -1 before the first.
  """

  name: str
  patience: int
  best: float | None = None
  best_step: int = -1
  bad: int = 0
  evaluated: int = -1

  def update(self, step: int, values: Mapping[str, float]) -> bool:
    """Takes in an evaluation; True if it is the best so far.

    Raises:
      UserError: if the watched metric is not among `values`.
    """
    if self.name not in values:
      raise UserError(
        "config.train.watch",
        f"found '{self.name}'",
        f"one of {', '.join(values)}",
        nearest(self.name, list(values)),
      )
    value = float(values[self.name])
    self.evaluated = step
    better = math.isfinite(value) and (self.best is None or value > self.best)
    if better:
      self.best, self.best_step, self.bad = value, step, 0
    else:
      self.bad += 1
    return better

  @property
  def exhausted(self) -> bool:
    return 0 < self.patience <= self.bad

  def score(self, step: int) -> float | None:
    """The watched value, if this is the best step."""
    return self.best if step == self.best_step else None

  def to_plain(self) -> dict[str, Any]:
    return {
      "best": self.best,
      "best_step": self.best_step,
      "bad": self.bad,
      "evaluated": self.evaluated,
    }

  def resume(self, plain: Mapping[str, Any]) -> None:
    """Goes on from what `to_plain` gave."""
    self.best = plain["best"]
    self.best_step = plain["best_step"]
    self.bad = plain["bad"]
    self.evaluated = plain["evaluated"]
