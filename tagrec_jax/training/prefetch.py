"""Batches that are ready before they are asked for."""

from __future__ import annotations

import collections
import concurrent.futures
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

Batch = TypeVar("Batch")
Placed = TypeVar("Placed")


def calls(step: int, last: int, size: int) -> Iterator[range]:
  """The steps of each call from `step` on, up to the next multiple of `size`.

  A run may go on from between two multiples; what is to be done every so many
  steps is done at multiples only.
  """
  while step < last:
    end = min(step - step % size + size, last)
    yield range(step, end)
    step = end


class Prefetch(Generic[Batch, Placed]):
  """Makes the batches of coming calls in a thread, a few calls ahead.

  A context manager; leaving it waits for what is being made and forgets the
  rest.

  Args:
    make: step → batch; a pure function, called in order.
    place: the batches of one call → what is taken.
    calls: the steps of each call.
    ahead: calls whose batches may wait to be taken.
  """

  def __init__(
    self,
    make: Callable[[int], Batch],
    place: Callable[[list[Batch]], Placed],
    calls: Iterable[range],
    ahead: int = 2,
  ):
    self._make = make
    self._place = place
    self._calls = iter(calls)
    self._thread = concurrent.futures.ThreadPoolExecutor(1)
    self._ready: collections.deque[
      concurrent.futures.Future[tuple[range, Placed]]
    ] = collections.deque()
    for _ in range(ahead):
      self._submit()

  def __enter__(self) -> Prefetch[Batch, Placed]:
    return self

  def __exit__(self, *_: Any) -> None:
    self._thread.shutdown(cancel_futures=True)

  @property
  def ready(self) -> bool:
    """Whether the next batches can be taken without waiting."""
    return self._ready[0].done()

  def take(self) -> tuple[range, Placed]:
    """The next call and its batches; raises what making them raised."""
    self._submit()
    return self._ready.popleft().result()

  def _submit(self) -> None:
    steps = next(self._calls, None)
    if steps is not None:
      self._ready.append(self._thread.submit(self._batches, steps))

  def _batches(self, steps: range) -> tuple[range, Placed]:
    return steps, self._place([self._noted(step) for step in steps])

  def _noted(self, step: int) -> Batch:
    try:
      return self._make(step)
    except Exception as error:
      error.add_note(f"while making the batch of step {step}")
      raise
