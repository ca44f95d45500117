"""A loss far above what is usual changes nothing, and what is usual stays."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tagrec_jax.checkpoint import manifest
from tagrec_jax.checkpoint.manager import Checkpoints
from tagrec_jax.checkpoint.meta import Identity
from tagrec_jax.core.errors import NonFiniteError
from tagrec_jax.core.settings import TrainSettings
from tagrec_jax.data.vocab import Vocabulary
from tagrec_jax.run.skipped import SkippedSteps
from tagrec_jax.training.loop import train
from tagrec_jax.training.parallel import JitBackend
from tagrec_jax.training.state import new_state
from tagrec_jax.training.step import FIRST_STEPS, _is_usual
from tagrec_jax.training.stop import Stop
from tagrec_jax.training.writers import JsonLines, Writers, read_rows
from tests.data.made import make_dataset

SETTINGS = TrainSettings(
  steps=60,
  log_every=10,
  evaluate_every=60,
  patience=0,
  watch="",
  max_skipped_steps=5,
  max_roll_backs=0,
  steps_per_call=1,
  accumulate_steps=1,
  init_from="",
)


IDENTITY = Identity({}, {}, "data", (0, 1), {})


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


BACK = dataclasses.replace(SETTINGS, steps=36, log_every=6, max_roll_backs=2)


@pytest.fixture
def going_back(tiny, limited, tmp_path):
  """Runs on in a folder, with spikes; may be stopped, or killed, on the way."""

  def go(spikes, stop_at=-1, killed_at=-1):
    def batches(number):
      if number == killed_at:
        raise KeyboardInterrupt
      return spiking(tiny.batch, spikes)(number)

    stop = Stop()
    stop.at = lambda call: call == stop_at
    skipped = []
    with Checkpoints(tmp_path / "checkpoints", 1, IDENTITY) as checkpoints:
      result = train(
        limited,
        batches,
        BACK,
        save_every=8,
        checkpoints=checkpoints,
        writers=Writers([JsonLines(tmp_path / "metrics.jsonl")]),
        stop=stop,
        on_skipped=lambda steps: skipped.extend(steps.items()),
      )
    return result, skipped

  return go


def run(backend, batches, settings=SETTINGS, **options):
  return train(backend, batches, settings, **options).state


def loss(tiny, backend, *states):
  """On batches that were not trained on, without dropout's luck."""

  @jax.jit
  def one(params, batch, key):
    return backend.recipe.losses(params, batch, key, 0, None)["items"].mean()

  rows = range(1000, 1010)
  return [
    np.mean([one(s.params, tiny.batch(n), jax.random.key(n)) for n in rows])
    for s in states
  ]


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
  found, wanted = loss(tiny, limited, state, clean)
  assert found == pytest.approx(wanted, rel=0.02)
  assert float(state.usual["loss"]) == pytest.approx(
    float(clean.usual["loss"]), rel=0.02
  )
  assert int(state.usual["steps"]) == SETTINGS.steps - len(bad)


def test_without_a_limit_it_is_applied(tiny):
  recipe = tiny.recipe()
  state = jax.eval_shape(lambda: new_state(recipe))
  assert state.usual == {}
  assert _is_usual(recipe, state, jnp.float32(1e30))


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


def assert_went_back_twice(tiny, limited, state):
  """Steps 24 to 35 took the batches 31 to 42, and nothing else remains."""
  short = dataclasses.replace(SETTINGS, steps=36)
  later = run(limited, lambda n: tiny.batch(n + 7 * (n >= 24)), short)
  jax.tree.map(np.testing.assert_array_equal, state, later)


def test_a_run_goes_back_and_takes_other_batches(
  tiny, limited, going_back, tmp_path, capsys
):
  begin = time.monotonic()
  result, skipped = going_back({27, 30})
  seconds = time.monotonic() - begin
  assert_went_back_twice(tiny, limited, result.state)
  assert skipped == [(27, 27), (26, 30)]  # step, batch
  said = capsys.readouterr().err
  assert (
    "WARN step 27: the loss is far too high; back at step 24, for the first of"
    " 2 times, without the batches 24 to 27\n"
    "WARN step 26: the loss is far too high; back at step 24, for the second of"
    " 2 times, without the batches 28 to 30\n"
  ) in said
  rows = read_rows(tmp_path / "metrics.jsonl")
  assert [row["step"] for row in rows] == [6, 12, 18, 24, 30, 36]
  assert [row["roll_backs"] for row in rows] == [0, 0, 0, 0, 2, 2]
  parts = {"train", "restore", "compile", "data", "checkpoint", "lost"}
  assert result.seconds.keys() == parts
  assert min(result.seconds.values()) > 0
  assert sum(result.seconds.values()) == pytest.approx(seconds, abs=0.5)


@pytest.mark.parametrize(
  "how", [{"stop_at": 26}, {"stop_at": 29}, {"killed_at": 29}]
)
def test_interrupted_it_goes_back_to_the_same_place(
  tiny, limited, going_back, how
):
  with contextlib.suppress(KeyboardInterrupt):
    result, _ = going_back({27, 30}, **how)
    assert result.ending == "interrupted"
  result, _ = going_back({27, 30})
  assert_went_back_twice(tiny, limited, result.state)


def test_a_run_goes_back_to_one_checkpoint_only_so_often(going_back, tmp_path):
  for again in range(2):  # the same happens to the same command
    with pytest.raises(NonFiniteError, match="as 2 times since step 24") as e:
      going_back({27, 30, 31, 40})
    assert e.value.exit_code == 4, again
  assert manifest.find_fault(tmp_path / "checkpoints" / "24") == ""


def test_without_a_checkpoint_a_step_is_left_out(tiny, limited):
  settings = dataclasses.replace(BACK, steps=24)
  state = run(limited, spiking(tiny.batch, {21}), settings)
  assert int(state.skipped) == 1


def test_the_products_of_bad_steps_are_written(tiny, tmp_path):
  ids = ("a", "b", "c", "d")
  dataset = dataclasses.replace(make_dataset([3]), items=Vocabulary(ids))
  rows = np.array([[0, -1], [2, -2]], np.int32)
  note = SkippedSteps(
    tmp_path / "skipped.jsonl",
    dataset,
    lambda step: {"history_ids": rows, "target_ids": rows + step},
  )
  note({1: 1, 2: 5})
  lines = (tmp_path / "skipped.jsonl").read_text().splitlines()
  assert [json.loads(line)["step"] for line in lines] == [1, 2]
  assert json.loads(lines[0])["products"] == ["a", "b", "c", "d"]
  assert json.loads(lines[1])["batch"] == 5
