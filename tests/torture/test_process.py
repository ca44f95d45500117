"""Real signals to a real process."""

from __future__ import annotations

import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

import pytest

from tagrec_jax.checkpoint import manifest, reader

SCRIPT = pathlib.Path(__file__).with_name("small_run.py")
ROOT = pathlib.Path(__file__).parents[2]
STEPS = 60


def start(workdir, *process, devices=1, hangs_at=-1, **options):
  flags = f"--xla_force_host_platform_device_count={devices}"
  return subprocess.Popen(
    [sys.executable, str(SCRIPT), str(workdir), str(STEPS), *process],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    env=os.environ
    | {"XLA_FLAGS": flags, "PYTHONPATH": str(ROOT), "HANGS_AT": str(hangs_at)},
    **options,
  )


def read_to(process, step):
  """Waits until the process makes the batch of this step."""
  for line in process.stdout:
    if not line.strip().isdecimal() or int(line) >= step:
      return


def finish(workdir):
  out, err = start(workdir).communicate(timeout=120)
  assert out, err
  return out.splitlines()[-1]


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
  line = finish(tmp_path_factory.mktemp("undisturbed"))
  assert line.startswith("finished ")
  return line


def kill_often(workdir, kills, seed):
  """Kills at random steps; every fourth time before the first, in compiling."""
  chance = random.Random(seed)
  for number in range(kills):
    with start(workdir) as process:
      if number % 4 < 3:
        read_to(process, chance.randrange(STEPS))
        time.sleep(chance.random() * 0.2)
      else:
        time.sleep(chance.uniform(1, 6))
      process.kill()


def check_folder(workdir):
  left = {path.name for path in (workdir / "checkpoints").iterdir()}
  assert len([name for name in left if name.isdecimal()]) <= 3
  assert all(name.isdecimal() or name == ".unfinished" for name in left)
  assert not list((workdir / "checkpoints" / ".unfinished").iterdir())


def ask_to_stop(workdir, step):
  """SIGTERM at a step; how many seconds it took to save and end."""
  with start(workdir) as process:
    read_to(process, step)
    begin = time.monotonic()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
  assert process.returncode == 0, err
  assert "SIGTERM: saving at the end of this step" in err
  assert out.splitlines()[-1].startswith("interrupted ")
  return time.monotonic() - begin


def ask_twice(workdir, step):
  """A second signal while the first waits for a batch that never comes."""
  with start(workdir, hangs_at=step) as process:
    read_to(process, step)
    process.send_signal(signal.SIGTERM)
    for line in process.stderr:
      if line.startswith("SIGTERM: saving at the end of this step"):
        break
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
  assert time.monotonic() - begin < 10  # at once, but for a busy machine
  assert process.returncode == 128 + signal.SIGINT
  assert err == "SIGINT: ending at once; the last checkpoint is whole\n"


def test_killed_and_asked_to_stop_it_ends_the_same(wanted, tmp_path):
  kill_often(tmp_path, kills=1, seed=0)
  ask_twice(tmp_path, 52)
  (*_, last) = reader.list_steps(tmp_path / "checkpoints")
  assert 45 <= last <= 52
  assert manifest.find_fault(tmp_path / "checkpoints" / str(last)) == ""
  assert ask_to_stop(tmp_path, 55) < 30
  assert finish(tmp_path) == wanted
  check_folder(tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_often_it_ends_the_same(wanted, tmp_path, trials, seed):
  trials(8)
  kill_often(tmp_path, kills=8, seed=seed)
  assert finish(tmp_path) == wanted
  check_folder(tmp_path)


@pytest.mark.nightly
def test_asked_to_stop_often_it_ends_the_same(wanted, tmp_path, trials):
  trials(12)
  chance = random.Random(2)
  seconds = sorted(
    ask_to_stop(tmp_path, number * 4 + chance.randrange(4))
    for number in range(12)  # each time a little further
  )
  assert seconds[6] < 5
  assert finish(tmp_path) == wanted
  check_folder(tmp_path)


@pytest.mark.nightly
def test_all_processes_of_a_run_are_asked_at_once(wanted, tmp_path):
  with start(tmp_path, start_new_session=True) as process:
    read_to(process, 20)
    os.killpg(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=60)
  assert process.returncode == 0, err
  assert out.splitlines()[-1].startswith("interrupted ")
  assert finish(tmp_path) == wanted


def start_two(workdir):
  with socket.socket() as free:
    free.bind(("localhost", 0))
    port = str(free.getsockname()[1])
  return [start(workdir, str(n), port, devices=2) for n in range(2)]


def two_hosts(workdir, stop_at=None):
  """The last lines of two processes; one may be told to end."""
  hosts = start_two(workdir)
  if stop_at is not None:
    read_to(hosts[1], stop_at)
    hosts[1].send_signal(signal.SIGTERM)
  lines = []
  for host in hosts:
    out, err = host.communicate(timeout=200)
    assert host.returncode == 0, err
    lines.append(out.splitlines()[-1])
  return lines


@pytest.mark.nightly
def test_one_of_two_hosts_is_killed_and_the_other_does_not_hang(tmp_path):
  wanted = two_hosts(tmp_path / "undisturbed")
  dead, alone = reversed(start_two(tmp_path / "lost"))
  read_to(dead, 23)
  dead.kill()
  begin = time.monotonic()
  alone.communicate(timeout=90)
  dead.communicate()
  assert alone.returncode != 0
  assert time.monotonic() - begin < 60  # small_run.py: heartbeats of 10 s
  assert two_hosts(tmp_path / "lost") == wanted


@pytest.mark.nightly
def test_two_hosts_stop_together_and_go_on(tmp_path):
  wanted = two_hosts(tmp_path / "undisturbed")
  assert wanted[0] == wanted[1]
  stopped = two_hosts(tmp_path / "stopped", stop_at=17)
  assert stopped[0] == stopped[1]
  assert stopped[0].startswith("interrupted ")
  assert two_hosts(tmp_path / "stopped") == wanted
