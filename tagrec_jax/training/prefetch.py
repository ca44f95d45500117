"""Batches that are ready before they are asked for."""

from __future__ import annotations

import collections
import concurrent.futures
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Prefetch(Generic[T]):
  """Makes the batches of coming steps in a thread, a few ahead.

  A context manager; leaving it waits for the batch being made and forgets the
  others.

  Args:
    make: step → batch; a pure function, called in order.
    first, last: the steps first..last - 1.
    ahead: batches that may wait to be taken.
  """

  def __init__(
    self, make: Callable[[int], T], first: int, last: int, ahead: int = 2
  ):
    self._make = make
    self._steps = iter(range(first, last))
    self._thread = concurrent.futures.ThreadPoolExecutor(1)
    self._ready: collections.deque[concurrent.futures.Future[T]] = (
      collections.deque()
    )
    for _ in range(ahead):
      self._submit()

  def __enter__(self) -> Prefetch[T]:
    return self

  def __exit__(self, *_: Any) -> None:
    self._thread.shutdown(cancel_futures=True)

  def take(self) -> T:
    """The next batch; raises what making it raised."""
    self._submit()
    return self._ready.popleft().result()

  def _submit(self) -> None:
    step = next(self._steps, None)
    if step is not None:
      self._ready.append(self._thread.submit(self._noted, step))

  def _noted(self, step: int) -> T:
    try:
      return self._make(step)
    except Exception as error:
      error.add_note(f"while making the batch of step {step}")
      raise
