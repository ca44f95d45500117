"""What a person at the terminal must know while a command runs."""

from __future__ import annotations

import sys


def warn(message: str) -> None:
  """One line on stderr: something is wrong, and the run goes on."""
  print(f"WARN {message}", file=sys.stderr, flush=True)


def say(message: str) -> None:
  """One line on stderr; stdout is for results."""
  print(message, file=sys.stderr, flush=True)
