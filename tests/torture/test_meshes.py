"""A run saved on one mesh goes on on another."""

from __future__ import annotations

import dataclasses
import shutil

import jax
import numpy as np
import pytest

from tagrec_jax.checkpoint.manager import Checkpoints
from tagrec_jax.training.loop import train
from tagrec_jax.training.writers import JsonLines, Writers, read_rows
from tests.torture.test_damage import IDENTITY, SETTINGS

BEFORE, STEPS = 3, 23
FOUR_BY_TWO = "tensor:4,1,2"


@pytest.fixture(scope="module")
def go(tiny):
  """Trains in a folder; the state as saved, losses and batches by step."""

  def go(folder, layout, steps=STEPS):
    asked = {}

    def batches(step):
      asked[step] = tiny.batch(step)
      return asked[step]

    backend = tiny.backend(layout)
    log = folder / "metrics.jsonl"
    with Checkpoints(folder / "checkpoints", 1, IDENTITY) as checkpoints:
      result = train(
        backend,
        batches,
        dataclasses.replace(SETTINGS, steps=steps, log_every=1),
        save_every=steps,
        checkpoints=checkpoints,
        writers=Writers([JsonLines(log)]),
      )
    losses = {r["step"]: r["loss"] for r in read_rows(log) if "loss" in r}
    return backend.saved(result.state), losses, asked

  return go


@pytest.fixture(scope="module")
def whole(go, tmp_path_factory):
  return go(tmp_path_factory.mktemp("whole"), FOUR_BY_TWO)


@pytest.fixture(scope="module")
def begun(go, tmp_path_factory):
  """The folder of a run that ended early, and its state."""
  folder = tmp_path_factory.mktemp("begun")
  return folder, go(folder, FOUR_BY_TWO, BEFORE)[0]


@pytest.mark.nightly
@pytest.mark.parametrize("layout", ["tensor:2,1,2", "data:8,1,1", "data:1,1,1"])
def test_saved_on_4_by_2_a_run_goes_on_elsewhere(
  tiny, go, whole, begun, tmp_path, layout
):
  folder = shutil.copytree(begun[0], tmp_path / "copy")
  backend = tiny.backend(layout)
  with Checkpoints(folder / "checkpoints", 1, IDENTITY) as checkpoints:
    restored, meta = checkpoints.restore(backend.template())
  assert meta["step"] == BEFORE
  jax.tree.map(
    np.testing.assert_array_equal,
    jax.device_get(restored),
    jax.device_get(begun[1]),
  )
  _, losses, asked = go(folder, layout)
  assert list(asked) == list(range(BEFORE, STEPS))
  for step, batch in asked.items():
    placed = backend.place_batches([batch])
    for name, rows in whole[2][step].items():
      np.testing.assert_array_equal(placed[name][0], rows)
  found, wanted = (
    [of[step] for step in range(BEFORE + 1, STEPS + 1)]
    for of in (losses, whole[1])
  )
  np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
