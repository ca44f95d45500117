from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tagrec_jax.core.errors import BusyError, StorageError
from tagrec_jax.training.run_folder import open_run, versions


def enter(path):
  with open_run(path):
    pass


def test_it_says_what_made_it(tmp_path):
  with open_run(tmp_path / "a" / "run") as folder:
    folder.describe({"seed": 1, "moment": ("hour",)}, versions())
  assert json.loads(folder.config.read_text()) == {
    "seed": 1,
    "moment": ["hour"],
  }
  found = json.loads(folder.versions.read_text())
  assert {"python", "jax", "flax", "orbax-checkpoint", "commit"} <= set(found)


def test_a_second_run_is_told_who_is_there(tmp_path):
  with open_run(tmp_path):
    with pytest.raises(BusyError, match=f"pid {os.getpid()} on ") as error:
      enter(tmp_path)
    assert error.value.exit_code == 3
  with open_run(tmp_path):
    pass


def test_the_lock_of_a_killed_run_is_taken_over(tmp_path):
  script = (
    "import os, signal, sys\n"
    "from tagrec_jax.training.run_folder import open_run\n"
    "with open_run(sys.argv[1]):\n"
    "  print('held', flush=True)\n"
    "  signal.pause()\n"
  )
  with subprocess.Popen(
    [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE
  ) as other:
    assert other.stdout.readline() == b"held\n"
    with pytest.raises(BusyError, match=f"pid {other.pid} on "):
      enter(tmp_path)
    other.kill()
  with open_run(tmp_path):
    assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


def test_a_file_in_the_way(tmp_path):
  (tmp_path / "file").write_text("")
  for path in (tmp_path / "file", tmp_path / "file" / "run"):
    with pytest.raises(StorageError, match="cannot be written"):
      enter(path)


def test_a_name_too_long(tmp_path):
  with pytest.raises(StorageError, match="name too long"):
    enter(tmp_path / ("x" * 300))
