"""How far long work has come."""

from __future__ import annotations

import time
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import (
  BarColumn,
  MofNCompleteColumn,
  Progress,
  TextColumn,
  TimeRemainingColumn,
)

from tagrec_jax.core.log import say

B = TypeVar("B", bound="Bar")

QUIET_SECONDS = 10.0
"""Between two lines where stderr is no terminal."""


class Bar:
  """A bar on a terminal, now and then a line elsewhere; a context manager.

  Args:
    what: stands before the bar.
    first, last: what is done already, and all there is to do.
  """

  def __init__(self, what: str, first: int, last: int):
    console = Console(stderr=True)
    self._bar = Progress(
      TextColumn(what),
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

  def __enter__(self: B) -> B:
    self._bar.start()
    return self

  def __exit__(self, *_: Any) -> None:
    self._bar.stop()

  def tell(self, done: int, facts: str, line: str) -> None:
    """Args: facts: beside the bar. line: all that is told without one."""
    self._bar.update(self._task, completed=done, facts=facts)
    now = time.monotonic()
    if self._bar.disable and (now >= self._quiet_until or done == self._last):
      self._quiet_until = now + QUIET_SECONDS
      say(line)
