"""What all commands share: flags are read, and errors told in one line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from absl import app, flags, logging

from tagrec_jax import build
from tagrec_jax.core import interrupt
from tagrec_jax.core.errors import UserError, one_line
from tagrec_jax.core.settings import Settings

_DEBUG = flags.DEFINE_bool(
  "debug", False, "show the trace of an error besides its line"
)


def run(main: Callable[[Sequence[str]], None]) -> None:
  """Parses the flags and calls `main`; a wrong flag ends with exit code 2."""

  def interruptible(argv: Sequence[str]) -> None:
    with interrupt.raised():
      main(argv)

  app.run(
    one_line(interruptible, _debug), flags_parser=one_line(_parse, _debug)
  )


def _debug() -> bool:
  # A wrong flag before it ends the reading of flags.
  return flags.FLAGS[_DEBUG.name].value or f"--{_DEBUG.name}" in sys.argv


def _parse(argv: Sequence[str]) -> list[str]:
  logging.set_verbosity(logging.WARNING)  # JAX tells of devices it tries
  try:
    rest = flags.FLAGS(argv)
    flags.FLAGS.validate_all_flags()
  # A config file is a program: it may fail in any way, and its flags read it.
  except (flags.Error, OSError, ImportError, LookupError) as error:
    raise _told(error) from error
  except (AttributeError, TypeError, ValueError, SyntaxError) as error:
    raise _told(error) from error
  if len(rest) > 1:
    raise UserError(
      "flags", f"found '{rest[1]}'", "flags only", f"write --{rest[1]}"
    )
  return rest


def settings(config: flags.FlagHolder) -> Settings:
  """The checked settings of a --config flag."""
  try:
    values = config.value.to_dict()
  except OSError as error:  # told on first use, not when flags are read
    raise UserError(
      "--config", _last_line(error), "a file with a get_config", "see configs/"
    ) from error
  return build.settings(values)


def _told(error: Exception) -> UserError:
  text = str(error)
  if text.startswith("'"):  # of a KeyError, which quotes what it says
    text = text[1:-1].replace("\\n", " ").replace("\\'", "'")
  if "Traceback" in text:  # of the config file
    return UserError("--config", _last_line(error), "", "correct the file")
  return UserError("flags", " ".join(text.split()), "", "see --help")


def _last_line(error: Exception) -> str:
  lines = [line.strip() for line in str(error).splitlines()]
  return [line for line in lines if line and set(line) != {"^"}][-1]
