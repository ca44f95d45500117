from __future__ import annotations

import os
import subprocess
import sys

import jax
import pytest

from tagrec_jax.core import host

COMPILE = """
import sys
import jax, jax.numpy as jnp
from tagrec_jax.core import host

host.MIN_COMPILE_SECONDS = 0
host.prepare(sys.argv[1])
compiled = []
jax.monitoring.register_event_listener(
  lambda event, **_: compiled.append(event.rpartition("/")[2])
)
jax.jit(lambda x: jnp.tanh(x) @ x)(jnp.ones((3, 3)))
print(compiled.count("cache_hits"), compiled.count("cache_misses"))
"""


def compile_in(folder, **changes):
  """(programs read, programs written) and stderr of a process of its own."""
  env = os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "true"} | changes
  done = subprocess.run(
    [sys.executable, "-c", COMPILE, str(folder)],
    env=env,
    capture_output=True,
    text=True,
    timeout=120,
    check=True,
  )
  read, written = done.stdout.split()
  return (int(read), int(written)), done.stderr


def test_the_second_start_compiles_nothing(tmp_path):
  (read, written), _ = compile_in(tmp_path)
  assert read == 0
  assert written > 0
  assert compile_in(tmp_path) == ((written, 0), "")
  program = next((tmp_path / "programs").glob("jit__lambda*-cache"))
  program.write_bytes(program.read_bytes()[:100])
  found, err = compile_in(tmp_path)
  assert found[0] == written - 1
  assert "Error reading persistent compilation cache entry" in err


def test_a_folder_that_cannot_be_written_is_told_once(tmp_path):
  (tmp_path / "file").touch()
  found, err = compile_in(tmp_path / "file")
  assert found == (0, 0)
  (line,) = err.splitlines()
  assert line.startswith(f"WARN {tmp_path}/file/programs: cannot be written")


@pytest.mark.parametrize(
  "told",
  [
    {"JAX_ENABLE_COMPILATION_CACHE": "false"},
    {"JAX_COMPILATION_CACHE_DIR": ""},
  ],
)
def test_it_can_be_turned_off(tmp_path, told):
  assert compile_in(tmp_path, **told) == ((0, 0), "")
  assert not list(tmp_path.iterdir())


@pytest.fixture
def tell():
  """jax.config.update, undone afterwards."""
  before = dict(jax.config.values)
  told = []

  def update(name, value):
    told.append(name)
    jax.config.update(name, value)

  yield update
  for name in told:
    jax.config.update(name, before[name])


def test_the_folder_told_to_jax_comes_first(tmp_path, tell):
  tell("jax_enable_compilation_cache", True)
  assert host.programs_folder(tmp_path) == str(tmp_path / "programs")
  tell("jax_compilation_cache_dir", "mine")
  assert host.programs_folder(tmp_path) == "mine"
  tell("jax_enable_compilation_cache", False)
  assert host.programs_folder(tmp_path) == ""


def test_what_was_used_last_is_kept(tmp_path):
  for used, name in enumerate("cab"):
    path = tmp_path / f"{name}-cache"
    path.write_bytes(bytes(10))
    os.utime(path, (used, 9 - used))
  host._remove_oldest(tmp_path, 25)
  assert sorted(p.name for p in tmp_path.iterdir()) == ["a-cache", "b-cache"]
