"""Damage between two runs, and what the second one ends with."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
import shutil
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from tagrec_jax.checkpoint import reader
from tagrec_jax.checkpoint.manager import Checkpoints
from tagrec_jax.checkpoint.meta import Identity
from tagrec_jax.core.settings import TrainSettings
from tagrec_jax.training.loop import train
from tagrec_jax.training.writers import JsonLines, Writers, read_rows
from tests.torture.test_process import ROOT, SCRIPT, finish

SETTINGS = TrainSettings(
  steps=20,
  log_every=5,
  evaluate_every=20,
  patience=0,
  watch="",
  max_skipped_steps=5,
  max_roll_backs=0,
  steps_per_call=1,
  accumulate_steps=1,
  init_from="",
)
HALF = dataclasses.replace(SETTINGS, steps=12)
IDENTITY = Identity({}, {}, "data", (0, 1), {})


def digest(state):
  found = hashlib.sha256()
  for leaf in jax.tree.leaves(jax.device_get(state)):
    found.update(np.ascontiguousarray(leaf).tobytes())
  return found.hexdigest()


@pytest.fixture
def run(tiny):
  """A small run in a folder of checkpoints; the digest of its end."""

  def go(folder, settings=SETTINGS, **options):
    backend = tiny.backend("data:1,1,1")
    with Checkpoints(folder, 3, IDENTITY) as checkpoints:
      result = train(
        backend,
        tiny.batch,
        settings,
        save_every=4,
        checkpoints=checkpoints,
        **options,
      )
    return digest(backend.saved(result.state))

  return go


def flip(path):
  data = bytearray(path.read_bytes()) or bytearray(1)
  data[len(data) // 2] ^= 1
  path.write_bytes(data)


def halve(path):
  data = path.read_bytes()
  path.write_bytes(data[: len(data) // 2] if data else b"x")


def empty(path):
  path.write_bytes(b"" if path.stat().st_size else b"x")


def check_each_file(run, tmp_path, capsys, damage):
  """Damages one file after another; how many there were."""
  wanted = run(tmp_path / "whole")
  half = tmp_path / "half"
  run(half, HALF)
  files = [path for path in (half / "12").rglob("*") if path.is_file()]
  assert len(files) > 10
  for number, path in enumerate(files):
    copy = tmp_path / str(number)
    shutil.copytree(half, copy)
    damage(copy / path.relative_to(half))
    capsys.readouterr()
    assert run(copy) == wanted
    said = capsys.readouterr().err
    assert said.startswith("WARN step 12: ")
    assert "; using step 8\n" in said
    assert "going on from the checkpoint of step 8\n" in said
    assert (copy / "12.aside").is_dir()
    shutil.rmtree(copy)
  return len(files)


@pytest.mark.nightly
def test_each_file_has_a_bit_flipped_and_the_end_is_the_same(
  run, tmp_path, trials, capsys
):
  trials(check_each_file(run, tmp_path, capsys, flip))


@pytest.mark.nightly
@pytest.mark.parametrize(
  "damage", [halve, empty, pathlib.Path.unlink], ids=lambda d: d.__name__
)
def test_each_file_is_cut_or_lost_and_the_end_is_the_same(
  run, tmp_path, trials, capsys, damage
):
  trials(check_each_file(run, tmp_path, capsys, damage))


def test_the_clock_goes_back_a_day_at_every_look(run, tmp_path, monkeypatch):
  now = [time.time()]

  def back():
    now[0] -= 86_400
    return now[0]

  monkeypatch.setattr(time, "time", back)
  writers = Writers([JsonLines(tmp_path / "metrics.jsonl")])
  run(tmp_path / "odd", HALF, writers=writers)
  writers.close()
  end = run(tmp_path / "odd", writers=writers)
  writers.close()
  monkeypatch.undo()
  assert end == run(tmp_path / "even")
  assert reader.list_steps(tmp_path / "odd") == [12, 16, 20]
  rows = read_rows(tmp_path / "metrics.jsonl")
  assert [row["step"] for row in rows] == [5, 10, 12, 15, 20]
  rates = [row["steps_per_second"] for row in rows if "steps_per_second" in row]
  assert all(rate > 0 for rate in rates)


def with_mounts(script):
  """Runs a script that may mount; it ends with 99 where that fails."""
  done = subprocess.run(
    ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c", script],
    capture_output=True,
    text=True,
    timeout=200,
    env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
    check=False,
  )
  if done.returncode == 99 or "unshare" in done.stderr:
    pytest.skip("no user namespaces here")
  return done


@pytest.mark.nightly
@pytest.mark.parametrize("there", [True, False])
def test_a_disk_that_is_read_only(tmp_path, there):
  """Told before anything is compiled; root can write wherever modes forbid."""
  folder = tmp_path / "run"
  done = with_mounts(
    f"mount -t tmpfs none {tmp_path} || exit 99\n"
    f"{f'mkdir {folder}' if there else 'true'}\n"
    f"mount -o remount,ro {tmp_path} || exit 99\n"
    f"{sys.executable} {SCRIPT} {folder} 60\n"
  )
  assert done.returncode == 5, done.stderr
  assert done.stdout == ""  # no batch was asked for
  (line,) = done.stderr.splitlines()
  assert line.startswith(f"ERROR: {folder}")
  assert "cannot be written (Read-only file system), expected a folder" in line


@pytest.mark.nightly
def test_a_disk_that_is_full_and_then_is_not(tmp_path):
  """On a small file system of its own, which needs user namespaces."""
  script = (
    f"mount -t tmpfs -o size=200k none {tmp_path} && cd / || exit 99\n"
    f"run='{sys.executable} {SCRIPT} {tmp_path} 60'\n"
    "$run > /dev/null\n"
    'test $? = 5 || { echo "no error 5"; exit 1; }\n'
    f"mount -o remount,size=20m {tmp_path} && $run\n"
  )
  done = with_mounts(script)
  assert done.returncode == 0, done.stdout + done.stderr
  assert "could not be written (No space left on device)" in done.stderr
  ours = ("step ", "ERROR: ", "going on from", "finished at")
  strange = [x for x in done.stderr.splitlines() if not x.startswith(ours)]
  assert not strange  # of the libraries that write
  assert "going on from the checkpoint of step" in done.stderr
  assert done.stdout.splitlines()[-1] == finish(tmp_path / "never-full")
