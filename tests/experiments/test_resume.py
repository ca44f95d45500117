"""Killed by the system, started again by the same command, the same end."""

import hashlib
import os
import pathlib
import random
import subprocess
import sys

import jax
import numpy as np
import pytest

from configs import storefront
from tagrec_jax import build
from tagrec_jax.checkpoint import reader
from tagrec_jax.core.rng import named_key

ROOT = pathlib.Path(__file__).resolve().parents[2]
STEPS = 2400
"""Enough that no run reaches the end before its killer comes."""


def command(workdir):
  return [
    sys.executable,
    "-m",
    "experiments.train",
    "--config=configs/storefront.py:tiny",
    f"--workdir={workdir}",
    f"--config.train.steps={STEPS}",
    "--config.train.log_every=10",
    "--config.train.evaluate_every=300",
    "--config.checkpoint.save_every=30",
  ]


def run(workdir, seconds=None):
  """Runs to the end, or is killed after some seconds; True if it ended."""
  with subprocess.Popen(
    command(workdir),
    cwd=ROOT,
    env=os.environ | {"XLA_FLAGS": ""},
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
  ) as process:
    try:
      _, errors = process.communicate(timeout=seconds or 300)
    except subprocess.TimeoutExpired:
      process.kill()
      return False
  assert process.returncode == 0, errors
  return True


def digest(workdir):
  """sha256 of the final parameters."""
  settings = build.settings(storefront.get_config("tiny").to_dict())
  model = build.model(settings, build.dataset(settings))
  params, meta = reader.restore_params(
    workdir / "checkpoints",
    jax.eval_shape(model.init, named_key(0, "params")),
    "latest",
  )
  assert meta["step"] == STEPS
  total = hashlib.sha256()
  for leaf in jax.tree.leaves(params):
    total.update(np.asarray(leaf).tobytes())
  return total.hexdigest()


@pytest.mark.nightly
def test_five_kills_leave_no_trace(tmp_path):
  run(tmp_path / "whole")
  chance = random.Random(0)
  kills = 0
  while kills < 5 and not run(tmp_path / "killed", chance.uniform(5, 12)):
    kills += 1
  run(tmp_path / "killed")
  assert kills == 5
  assert digest(tmp_path / "killed") == digest(tmp_path / "whole")
