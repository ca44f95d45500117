"""Going back to a checkpoint when a loss is far too high."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tagrec_jax.core.errors import NonFiniteError
from tagrec_jax.core.log import warn


@dataclasses.dataclass
class RollBacks:
  """Which batch each step takes, and how often the run went back.

  A run whose loss is too high at step s goes back to the newest checkpoint, of
  step c, and takes there the batch after the one of s, and so on: it meets
  neither that batch again nor those that led to it. All of this is saved with
  every checkpoint, so that a resumed run takes the same batches.

  Attributes:
    most: times a run may go back to one checkpoint; 0: it never goes back.
    shift: the number of a step's batch less that of the step.
    checkpoint: the step to go back to, of a checkpoint that every run would
      have made, wherever it was interrupted; -1: none.
    here: how often the run went back to that one. total: to any.
  """

  most: int
  shift: int = 0
  checkpoint: int = -1
  here: int = 0
  total: int = 0

  def batch_of(self, step: int) -> int:
    return step + self.shift

  def saved(self, step: int) -> None:
    """There is a checkpoint of this step to go back to."""
    if self.most and step != self.checkpoint:
      self.checkpoint, self.here = step, 0

  def check(self, step: int) -> None:
    """Whether one more is allowed.

    Raises:
      NonFiniteError: the run went back to this checkpoint too often.
    """
    if self.here >= self.most:
      raise NonFiniteError(
        f"step {step}",
        f"the loss is far too high, as {self.here} times since step"
        f" {self.checkpoint}",
        fix="lower config.optimizer.learning_rate or raise"
        " config.optimizer.max_loss_rise; the checkpoint is whole",
      )

  def back(self, step: int, to: int) -> None:
    """Counts one from `step`, and says which batches are passed over."""
    first = self.batch_of(to)
    self.shift += step + 1 - to
    self.here += 1
    self.total += 1
    warn(
      f"step {step}: the loss is far too high; back at step {to}, for the"
      f" {_times(self.here)} of {self.most} times, without the batches"
      f" {first} to {self.batch_of(to) - 1}"
    )

  def to_plain(self) -> dict[str, int]:
    names = ("shift", "checkpoint", "here", "total")
    return {name: getattr(self, name) for name in names}

  def resume(self, plain: Mapping[str, Any]) -> None:
    """Goes on from what `to_plain` gave; runs of old have nothing."""
    for name, value in plain.items():
      setattr(self, name, value)


def _times(number: int) -> str:
  return {1: "first", 2: "second", 3: "third"}.get(number, f"{number}th")
