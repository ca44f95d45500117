"""Errors a user can act on: one line, one exit code.

Every message reads `where: found, expected. Fix: how`.
"""

from __future__ import annotations

import functools
import pathlib
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from tagrec_jax.core.interrupt import Interrupted

_PACKAGES = ("tagrec_jax", "experiments", "configs")

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


def either(choices: Sequence[object]) -> str:
  """'1, 2 or 3'."""
  *most, last = map(str, choices)
  return f"{', '.join(most)} or {last}" if most else last


def near_multiples(size: int, of: int) -> str:
  """The three multiples nearest to a size, as '4, 8 or 12'."""
  middle = max(round(size / of), 2)
  return either([of * n for n in (middle - 1, middle, middle + 1)])


def one_line(
  main: Callable[P, R], trace: Callable[[], bool] | None = None
) -> Callable[P, R]:
  """Wraps a command: a `TagrecError` becomes one stderr line and an exit code.

  A signal too; its code is 128 and its number, as of a process that it ends.

  Args:
    trace: whether the trace is shown besides. Other exceptions are bugs, or
      faults of the machine: they become one line too, exit code 1, or 5 for
      those of files; without `trace` they keep their trace.
  """

  @functools.wraps(main)
  def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
    try:
      return main(*args, **kwargs)
    except Interrupted as signal:
      print(f"{signal}: ended; nothing is half written", file=sys.stderr)
      sys.exit(128 + signal.number)
    except Exception as error:
      if trace is None and not isinstance(error, TagrecError):
        raise
      if trace is not None and trace():
        traceback.print_exception(error)
      print(f"ERROR: {_line(error)}", file=sys.stderr)
      raise SystemExit(_exit_code(error)) from None

  return wrapped


def _exit_code(error: Exception) -> int:
  if isinstance(error, TagrecError):
    return error.exit_code
  return StorageError.exit_code if isinstance(error, OSError) else 1


def _line(error: Exception) -> str:
  """What to tell of an error, in one line."""
  if isinstance(error, TagrecError):
    return str(error)
  said = [type(error).__name__, *str(error).strip().splitlines()[:1]]
  notes = getattr(error, "__notes__", [])
  found = " ".join([": ".join(said), *(f"({note})" for note in notes)])
  return f"{_place(error)}: {found}. Fix: --debug shows where it comes from"


def _place(error: Exception) -> str:
  """The last line of this project that was at work, as file:line."""
  root = pathlib.Path(__file__).parents[2]
  frames = traceback.extract_tb(error.__traceback__)[1:]  # without `wrapped`
  for frame in reversed(frames):
    path = pathlib.Path(frame.filename)
    if any(path.is_relative_to(root / package) for package in _PACKAGES):
      return f"{path.relative_to(root)}:{frame.lineno}"
  return f"{frames[-1].filename}:{frames[-1].lineno}"
