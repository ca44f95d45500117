"""A command ends in one line; where it came from is shown on request."""

from __future__ import annotations

import json
import signal

import pytest

from tagrec_jax.core.errors import (
  BusyError,
  NonFiniteError,
  StorageError,
  UserError,
  one_line,
)
from tagrec_jax.core.interrupt import Interrupted


def ended(error, trace, capsys):
  """(exit code, stderr) of a command that raises this."""

  def fail():
    if callable(error):
      error()
    raise error

  with pytest.raises(SystemExit) as end:
    one_line(fail, lambda: trace)()
  return end.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
  ("kind", "code"),
  [(UserError, 2), (BusyError, 3), (NonFiniteError, 4), (StorageError, 5)],
)
@pytest.mark.parametrize("trace", [False, True])
def test_what_a_user_can_mend(capsys, kind, code, trace):
  error = kind("config.x", "found 1", "2", "use 2")
  line = "ERROR: config.x: found 1, expected 2. Fix: use 2\n"
  found, said = ended(error, trace, capsys)
  assert found == code
  assert said.endswith(line)
  assert ("Traceback" in said) == trace
  assert trace or said == line


def test_a_fault_of_ours_names_its_place(capsys, tmp_path):
  from tagrec_jax.core import files

  def fail():
    try:
      files.write_json(tmp_path / "x", {json: 1})
    except TypeError as error:
      error.add_note("while writing")
      raise

  code, said = ended(fail, False, capsys)
  assert code == 1
  assert said.startswith("ERROR: tagrec_jax/core/files.py:")
  assert ": TypeError: keys must be str" in said
  assert said.endswith(
    "(while writing). Fix: --debug shows where it comes from\n"
  )
  assert said.count("\n") == 1


def test_a_fault_of_a_disk(capsys):
  error = OSError(28, "No space left on device", "x")
  code, said = ended(error, False, capsys)
  assert code == 5
  assert "OSError: [Errno 28] No space left on device: 'x'" in said
  assert said.count("\n") == 1


def test_without_a_flag_to_ask_for_it_a_fault_keeps_its_trace():
  def fail():
    raise KeyError("a")

  with pytest.raises(KeyError):
    one_line(fail)()


def test_a_signal(capsys):
  number = signal.SIGTERM
  code, said = ended(Interrupted(number), True, capsys)
  assert code == 128 + number
  assert said == "SIGTERM: ended; nothing is half written\n"
