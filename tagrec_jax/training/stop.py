"""Asking a run to end: SIGTERM, SIGINT, or one host of many told to leave."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType

import jax
from jax.experimental import multihost_utils

from tagrec_jax.core import interrupt
from tagrec_jax.core.log import say


class Stop:
  """Whether the run should end before its next call."""

  def __init__(self) -> None:
    self.requested = False

  def at(self, call: int) -> bool:
    """To be asked before each call; all hosts get the same answer.

    Args:
      call: goes up by one from one question to the next.
    """
    if jax.process_count() > 1:
      # JAX itself listens for SIGTERM there and agrees on the next number.
      return bool(multihost_utils.reached_preemption_sync_point(call))
    return self.requested


@contextlib.contextmanager
def stop_on_signals() -> Iterator[Stop]:
  """The first SIGTERM or SIGINT asks the run to end, the second ends it."""
  stop = Stop()

  def ask(number: int, frame: FrameType | None) -> None:
    del frame
    name = signal.Signals(number).name
    if stop.requested:
      say(f"{name}: ending at once; the last checkpoint is whole")
      os._exit(128 + number)
    stop.requested = True  # first: a second signal may come while it is told
    say(f"{name}: saving at the end of this step; once more to end at once")

  if jax.process_count() > 1:
    yield stop
    return
  with interrupt.handled(ask):
    yield stop
