"""Errors a user can act on: one line, one exit code.

Every message reads `where: found, expected. Fix: how`.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from tagrec_jax.core.interrupt import Interrupted

P = ParamSpec("P")
R = TypeVar("R")


class TagrecError(Exception):
  """Base of all errors that end a command with one line instead of a trace.

  Attributes:
    exit_code: what the process returns.
  """

  exit_code = 2

  def __init__(self, where: str, found: str, expected: str = "", fix: str = ""):
    message = f"{where}: {found}" if where else found
    if expected:
      message += f", expected {expected}"
    if fix:
      message += f". Fix: {fix}"
    super().__init__(message)


class UserError(TagrecError):
  """The input or the configuration is wrong (exit code 2)."""


class BusyError(TagrecError):
  """Another process holds what is needed (exit code 3)."""

  exit_code = 3


class NonFiniteError(TagrecError):
  """The numbers are no longer finite (exit code 4)."""

  exit_code = 4


class StorageError(TagrecError):
  """Reading or writing failed (exit code 5)."""

  exit_code = 5


def one_line(main: Callable[P, R]) -> Callable[P, R]:
  """Wraps a command: a `TagrecError` becomes one stderr line and an exit code.

  A signal too; its code is 128 and its number, as of a process that it ends.
  Other exceptions are bugs and keep their trace.
  """

  @functools.wraps(main)
  def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
    try:
      return main(*args, **kwargs)
    except TagrecError as error:
      print(f"ERROR: {error}", file=sys.stderr)
      sys.exit(error.exit_code)
    except Interrupted as signal:
      print(f"{signal}: ended; nothing is half written", file=sys.stderr)
      sys.exit(128 + signal.number)

  return wrapped
