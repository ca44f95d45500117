"""What a person sees of a running training."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import (
  BarColumn,
  MofNCompleteColumn,
  Progress,
  TextColumn,
  TimeRemainingColumn,
)

from tagrec_jax.core.log import say

QUIET_SECONDS = 10.0
"""Between two lines where stderr is no terminal."""


class ProgressBar:
  """A bar on a terminal, now and then a line elsewhere; a context manager."""

  def __init__(self, first: int, last: int):
    console = Console(stderr=True)
    self._bar = Progress(
      TextColumn("training"),
      BarColumn(),
      MofNCompleteColumn(),
      TextColumn("{task.fields[facts]}"),
      TimeRemainingColumn(),
      console=console,
      disable=not console.is_terminal,
    )
    self._task = self._bar.add_task("", total=last, completed=first, facts="")
    self._last = last
    self._quiet_until = 0.0

  def __enter__(self) -> ProgressBar:
    self._bar.start()
    return self

  def __exit__(self, *_: Any) -> None:
    self._bar.stop()

  def show(self, step: int, loss: float | None, rate: float | None) -> None:
    """Args: rate: steps a second since the last call."""
    facts = "" if loss is None else f"loss {loss:.4f}"
    if rate:
      facts = f"{facts}  {rate:.1f} steps/s"
    self._bar.update(self._task, completed=step, facts=facts)
    now = time.monotonic()
    if self._bar.disable and (now >= self._quiet_until or step == self._last):
      self._quiet_until = now + QUIET_SECONDS
      if rate:
        facts = f"{facts}  {(self._last - step) / rate:.0f} s left"
      say(f"step {step}/{self._last}  {facts}")
