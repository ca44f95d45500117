"""Errors of a save are told once, in our line, not in traces of libraries."""

from __future__ import annotations

import functools
import logging
import sys
import traceback
from typing import Any

UNFINISHED = ".unfinished"
"""The folder of what is being written: no other path has it."""


@functools.cache
def once() -> None:
  """Drops what Orbax and tensorstore say besides the error that they raise."""
  # It logs the trace of every error it also raises, and asyncio once more.
  for name in ("absl", "asyncio"):
    logging.getLogger(name).addFilter(_is_news)
  before = sys.unraisablehook

  def hook(arguments: Any) -> None:
    if not _is_late(arguments):
      before(arguments)

  sys.unraisablehook = hook


def _is_late(arguments: Any) -> bool:
  """A thread of tensorstore reports to a loop that is no more.

  When one array fails, Orbax ends the loop that the others still report to.
  They call it from C++: there is no Python around asyncio's own two functions.
  Closed loops of anybody else are called by lines of Python, and are told.
  """
  trace = traceback.extract_tb(arguments.exc_traceback)
  return (
    arguments.object is None
    and str(arguments.exc_value) == "Event loop is closed"
    and [f.name for f in trace] == ["call_soon_threadsafe", "_check_closed"]
  )


def _is_news(record: logging.LogRecord) -> bool:
  if record.levelno != logging.ERROR:
    return True
  error = record.exc_info[1] if record.exc_info else None
  trace = error.__traceback__ if error else None
  files = [frame.filename for frame in traceback.extract_tb(trace)]
  ours = any("orbax" in path for path in (record.pathname, *files))
  return not ours and UNFINISHED not in str(error)
