"""Only what a failed save says twice is dropped."""

from __future__ import annotations

import asyncio
import functools
import logging
import sys
import types

import pytest

from tagrec_jax.checkpoint import quiet


def late(call):
  """What Python hands to its hook when a call raised where none can catch."""
  try:
    call()
  except RuntimeError as error:
    return types.SimpleNamespace(
      exc_type=type(error),
      exc_value=error,
      # Without the frame of this function: C++ has none.
      exc_traceback=error.__traceback__.tb_next,
      err_msg=None,
      object=None,
    )


def from_c(loop):
  """A report to the loop with no line of Python around it."""
  return functools.partial(loop.call_soon_threadsafe, print)


@pytest.fixture
def told(monkeypatch):
  """What the hook of before is given."""
  found = []
  monkeypatch.setattr(sys, "unraisablehook", found.append)
  loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
  filters = [list(logger.filters) for logger in loggers]
  quiet.once.__wrapped__()
  yield found
  for logger, before in zip(loggers, filters, strict=True):
    logger.filters[:] = before


@pytest.fixture
def closed():
  loop = asyncio.new_event_loop()
  loop.close()
  return loop


def test_a_late_report_of_a_failed_save_is_dropped(told, closed):
  sys.unraisablehook(late(from_c(closed)))
  assert told == []


def test_closed_loops_of_others_are_told(told, closed):
  arguments = late(lambda: closed.call_soon_threadsafe(print))
  sys.unraisablehook(arguments)
  owned = late(from_c(closed))
  owned.object = "a coroutine"
  sys.unraisablehook(owned)
  other = late(from_c(closed))
  other.exc_value = RuntimeError("no")
  sys.unraisablehook(other)
  assert told == [arguments, owned, other]
