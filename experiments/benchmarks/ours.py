"""The project itself as a contestant: its normal path, nothing special."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from experiments.benchmarks import subject
from experiments.benchmarks.contest import Run
from tagrec_jax import build
from tagrec_jax.core import host
from tagrec_jax.core.axes import UNKNOWN

LOG_EVERY = 10  # steps


def training(folder: str, **changes: Any) -> Run:
  """`training.loop` itself, from log to log; work is questions answered."""
  from tagrec_jax.training import loop
  from tagrec_jax.training.writers import Writers

  host.keep_large_blocks()
  changes |= dict.fromkeys(("train__steps", "train__evaluate_every"), 10**8)
  settings = subject.settings(folder, train__log_every=LOG_EVERY, **changes)
  dataset = build.dataset(settings)
  model = build.model(settings, dataset)
  backend = build.backend(settings, build.recipe(settings, model))
  batches = build.train_batches(settings, dataset, backend.host_share)
  asked: dict[int, int] = {}

  def counted(step: int) -> Any:
    batch = batches(step)
    asked[step] = int(np.count_nonzero(batch["target_ids"] != UNKNOWN))
    return batch

  gate = _Gate(
    lambda gate: loop.train(
      backend, counted, settings.train, writers=Writers([gate])
    )
  )

  def run(logs: int) -> dict[str, float]:
    first = gate.step
    for _ in range(logs):
      values = gate.pass_one()
    work = sum(asked.pop(step) for step in range(first, gate.step))
    return {"work": work, "steps": gate.step - first, "loss": values["loss"]}

  return run


class _Gate:
  """A writer of metrics that holds a loop after each log until it may go on.

  Args:
    train: runs the loop with this as a writer; called in a thread.
  """

  def __init__(self, train: Callable[[_Gate], Any]):
    self.step = 0  # of the last log
    self._train = train
    self._open = threading.Semaphore(0)
    self._logs: queue.Queue[Any] = queue.Queue()
    self._thread = threading.Thread(target=self._run, daemon=True)
    self._thread.start()

  def pass_one(self) -> Mapping[str, float]:
    """Lets the loop run to its next log; what it wrote there."""
    self._open.release()
    found = self._logs.get()
    if isinstance(found, BaseException):
      raise found
    self.step, values = found
    return values

  def begin(self, step: int) -> None:
    self.step = step
    self._open.acquire()

  def write(self, step: int, values: Mapping[str, float]) -> None:
    self._logs.put((step, values))
    self._open.acquire()

  def close(self) -> None:
    """Nothing is open."""

  def _run(self) -> None:
    try:
      self._train(self)
    except BaseException as error:  # noqa: BLE001 raised again where it is read
      self._logs.put(error)
