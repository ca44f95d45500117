"""Several processes train and measure as one does."""

from __future__ import annotations

import json
import os
import pathlib
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from tagrec_jax.core import host
from tagrec_jax.core.errors import UserError
from tests.run import several

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = pathlib.Path(several.__file__)


def free_port():
  with socket.socket() as free:
    free.bind(("localhost", 0))
    return free.getsockname()[1]


def outputs(commands, **changes):
  """What processes that run at once print; all of them have to end well."""
  env = os.environ | changes
  env |= {
    "XLA_FLAGS": "--xla_backend_optimization_level=0"
    " --xla_force_host_platform_device_count=1",
    "PYTHONPATH": str(ROOT),
  }
  started = [
    subprocess.Popen(
      [sys.executable, *command],
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
      env=env,
      cwd=ROOT,
    )
    for command in commands
  ]
  found = []
  for process in started:
    out, err = process.communicate(timeout=280)
    assert process.returncode == 0, err
    found.append((out, err))
  return found


def trained(processes, presets, measured):
  port = str(free_port())
  commands = [
    [str(SCRIPT), str(n), str(processes), port, measured, *presets]
    for n in range(processes)
  ]
  return [json.loads(out.splitlines()[-1]) for out, _ in outputs(commands)]


def check(processes, presets, measured):
  """Against this process with 8 devices."""
  found = trained(processes, presets, str(int(measured)))
  settings, dataset = several.made()
  devices = jax.device_count()
  for preset in presets:
    alone = several.seen(settings, dataset, preset, devices, measured)
    assert bool(alone["metrics"]) is measured
    rows = [told[preset].pop("rows") for told in found]
    # Each made its own part of the batch, and all of them the whole.
    assert len({len(part) for part in rows}) == 1
    assert np.concatenate(rows).tolist() == alone["rows"]
    for number, told in enumerate(found):
      assert told[preset]["process"] == number
      np.testing.assert_allclose(
        told[preset]["losses"], alone["losses"], rtol=1e-5, atol=1e-5
      )
      for name, value in told[preset]["metrics"].items():
        assert value == pytest.approx(alone["metrics"][name], abs=1e-5), name


def test_two_processes_are_one():
  check(2, ["fsdp"], measured=False)


@pytest.mark.nightly
def test_four_processes_are_one():
  check(4, ["data", "fsdp"], measured=True)


@pytest.mark.nightly
def test_two_processes_train_measure_and_write_lists(tmp_path):
  """By the commands: one writes the run, each its own files of lists."""
  both = range(2)

  def started(*command):
    port = free_port()
    return outputs(
      [
        [
          *("-m", *command, "--processes=2", f"--process={process}"),
          f"--coordinator=localhost:{port}",
        ]
        for process in both
      ],
      XDG_CACHE_HOME=str(tmp_path),
    )

  run = f"--workdir={tmp_path / 'run'}"
  first, second = started(
    *("experiments.train", "--config=configs/storefront.py:tiny", run),
    *("--config.data.shop_people=100", "--config.train.steps=20"),
  )
  assert "ndcg@10" in first[0]
  assert "ndcg@10" not in second[0]
  steps = [
    json.loads(line).get("step")
    for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
  ]
  assert steps == sorted(steps)
  lists = f"--output={tmp_path / 'lists'}"
  started("experiments.score", run, lists, "--shard_people=20")
  manifest = json.loads((tmp_path / "lists" / "manifest.json").read_text())
  assert len(manifest["shards"]) == -(-manifest["people"] // 20)
  outputs([["-m", "experiments.score", run, lists, "--shard_people=20"]])


@pytest.mark.parametrize(
  "flags",
  [
    ("2", None, ""),
    ("2", 0, "here"),
    ("x", 0, "a:1"),
    ("", 1, ""),
    ("", None, "a:1"),
  ],
)
def test_half_of_the_flags_is_refused(flags, monkeypatch):
  for name in ("SLURM_STEP_NUM_TASKS", "TPU_WORKER_HOSTNAMES"):
    monkeypatch.delenv(name, raising=False)
  with pytest.raises(UserError, match="all three, or --processes=auto alone"):
    host.join(*flags)


def test_alone_nothing_is_joined(monkeypatch):
  monkeypatch.setattr(jax.distributed, "initialize", lambda *_, **__: 1 / 0)
  assert host.join("", None, "") == 0


@pytest.mark.parametrize(
  ("name", "value"),
  [
    ("SLURM_STEP_NUM_TASKS", "2"),
    ("OMPI_COMM_WORLD_SIZE", "4"),
    ("TPU_WORKER_HOSTNAMES", "a,b"),
  ],
)
def test_what_the_environment_tells_is_left_to_jax(name, value, monkeypatch):
  asked = []
  monkeypatch.setenv(name, value)
  monkeypatch.setattr(
    jax.distributed, "initialize", lambda *told, **_: asked.append(told)
  )
  host.join("", None, "")
  assert asked == [(None, None, None)]
