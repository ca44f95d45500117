"""Where the time of a run went."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator


class Clock:
  """Seconds by purpose; what no purpose claims is training."""

  def __init__(self) -> None:
    self._begin = time.monotonic()
    self._spent: dict[str, float] = {}

  @contextlib.contextmanager
  def part(self, name: str) -> Iterator[None]:
    """Everything inside is spent on `name`."""
    begin = time.monotonic()
    try:
      yield
    finally:
      spent = time.monotonic() - begin
      self._spent[name] = self._spent.get(name, 0.0) + spent

  def add(self, name: str, seconds: float) -> None:
    """Counts what was spent before this process began."""
    if seconds > 0:
      self._begin -= seconds
      self._spent[name] = self._spent.get(name, 0.0) + seconds

  def take(self, name: str, seconds: float) -> None:
    """Counts seconds that were training so far as spent on `name`."""
    self._spent[name] = self._spent.get(name, 0.0) + seconds

  def seconds(self) -> dict[str, float]:
    """'train' first, then the parts in the order they first came."""
    total = time.monotonic() - self._begin
    return {"train": total - sum(self._spent.values()), **self._spent}

  def line(self) -> str:
    """'goodput 87 %: train 12.3 s, compile 1.1 s, ...'."""
    spent = self.seconds()
    share = spent["train"] / max(sum(spent.values()), 1e-9)
    parts = ", ".join(f"{name} {value:.1f} s" for name, value in spent.items())
    return f"goodput {100 * share:.0f} %: {parts}"
