"""A loss far above what is usual changes nothing, and what is usual stays."""

from __future__ import annotations

import dataclasses
import json

import jax
import numpy as np
import pytest

from tagrec_jax.core.errors import NonFiniteError
from tagrec_jax.core.settings import TrainSettings
from tagrec_jax.data.vocab import Vocabulary
from tagrec_jax.run.skipped import SkippedSteps
from tagrec_jax.training.loop import train
from tagrec_jax.training.parallel import JitBackend
from tagrec_jax.training.step import FIRST_STEPS
from tests.data.made import make_dataset

SETTINGS = TrainSettings(
  steps=60,
  log_every=10,
  evaluate_every=60,
  patience=0,
  watch="",
  max_skipped_steps=5,
  steps_per_call=1,
  init_from="",
)


@pytest.fixture(scope="module")
def limited(tiny) -> JitBackend:
  recipe = tiny.recipe(max_loss_rise=0.5)
  return tiny.make_backend("data:1,1,1", recipe)


def spiking(batches, steps):
  """At these steps the loss is a thousand times what it was."""

  def make(step):
    batch = batches(step)
    if step in steps:
      batch["factor"] = batch["factor"] * 1e4
    return batch

  return make


def run(backend, batches, settings=SETTINGS, **options):
  return train(backend, batches, settings, **options).state


def loss(tiny, backend, state):
  """On batches that were not trained on, without dropout's luck."""
  losses = []
  for step in range(1000, 1010):
    sums = backend.recipe.losses(
      state.params, tiny.batch(step), jax.random.key(step), 0, None
    )
    losses.append(float(sums["items"].mean()))
  return np.mean(losses)


def test_a_high_loss_is_not_applied_and_the_end_is_as_good(
  tiny, limited, capsys
):
  clean = run(limited, tiny.batch)
  assert int(clean.skipped) == 0
  skipped = []
  bad = {25, 31, 32, 45}
  state = run(limited, spiking(tiny.batch, bad), on_skipped=skipped.extend)
  assert skipped == sorted(bad)
  assert "WARN step 40: 2 of the last 10 steps" in capsys.readouterr().err
  wanted = loss(tiny, limited, clean)
  assert loss(tiny, limited, state) == pytest.approx(wanted, rel=0.02)
  assert float(state.usual["loss"]) == pytest.approx(
    float(clean.usual["loss"]), rel=0.02
  )
  assert int(state.usual["steps"]) == SETTINGS.steps - len(bad)


def test_without_a_limit_it_is_applied(tiny):
  backend = tiny.backend("data:1,1,1")
  state = run(backend, spiking(tiny.batch, {25}))
  assert int(state.skipped) == 0
  assert state.usual == {}


def test_a_step_above_the_limit_changes_no_bit(tiny, limited):
  short = dataclasses.replace(SETTINGS, steps=FIRST_STEPS + 1)
  calm = dataclasses.replace(SETTINGS, steps=FIRST_STEPS)
  before = run(limited, tiny.batch, calm)
  after = run(limited, spiking(tiny.batch, {FIRST_STEPS}), short)
  assert int(after.skipped) == 1
  for name in ("params", "opt_state", "ema", "usual"):
    jax.tree.map(
      np.testing.assert_array_equal, getattr(after, name), getattr(before, name)
    )


def test_many_high_losses_do_not_raise_the_limit(tiny, limited):
  bad = set(range(30, 60))
  with pytest.raises(NonFiniteError, match="in a row were not finite or far"):
    run(limited, spiking(tiny.batch, bad))


def test_the_products_of_bad_steps_are_written(tiny, tmp_path):
  ids = ("a", "b", "c", "d")
  dataset = dataclasses.replace(make_dataset([3]), items=Vocabulary(ids))
  rows = np.array([[0, -1], [2, -2]], np.int32)
  note = SkippedSteps(
    tmp_path / "skipped.jsonl",
    dataset,
    lambda step: {"history_ids": rows, "target_ids": rows + step},
  )
  note([1, 2])
  lines = (tmp_path / "skipped.jsonl").read_text().splitlines()
  assert [json.loads(line)["step"] for line in lines] == [1, 2]
  assert json.loads(lines[0])["products"] == ["a", "b", "c", "d"]
