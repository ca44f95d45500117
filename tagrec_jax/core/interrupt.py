"""SIGTERM and SIGINT while a command is at work that it can only do again."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interrupted(BaseException):
  """Somebody asked the process to end; files are closed on the way out.

  Like KeyboardInterrupt it is no `Exception`: nothing that handles errors
  keeps it from ending the work.

  Attributes:
    number: of the signal.
  """

  def __init__(self, number: int):
    super().__init__(signal.Signals(number).name)
    self.number = number


@contextlib.contextmanager
def raised() -> Iterator[None]:
  """The first signal raises `Interrupted` here, the second ends at once."""
  asked = False

  def end(number: int, frame: FrameType | None) -> None:
    nonlocal asked
    del frame
    if asked:
      os._exit(128 + number)
    asked = True
    raise Interrupted(number)

  with handled(end):
    yield


@contextlib.contextmanager
def handled(handler: signal._HANDLER) -> Iterator[None]:
  """Signals go to `handler`; threads other than the first have none."""
  if threading.current_thread() is not threading.main_thread():
    yield
    return
  before = {number: signal.signal(number, handler) for number in SIGNALS}
  try:
    yield
  finally:
    for number, old in before.items():
      signal.signal(number, old)
