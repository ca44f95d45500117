"""A run ends the same, however often it is stopped on the way."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
import time

import jax
import numpy as np
import pytest

from tagrec_jax.checkpoint import reader
from tagrec_jax.checkpoint.manager import Checkpoints
from tagrec_jax.checkpoint.meta import Identity
from tagrec_jax.core.errors import NonFiniteError, StorageError, UserError
from tagrec_jax.core.settings import TrainSettings
from tagrec_jax.core.trees import named_leaves
from tagrec_jax.training.loop import train
from tagrec_jax.training.stop import Stop
from tagrec_jax.training.writers import JsonLines, Writers, read_rows

SETTINGS = TrainSettings(
  steps=23,
  log_every=5,
  evaluate_every=6,
  patience=0,
  watch="ndcg@10",
  max_skipped_steps=4,
  max_roll_backs=0,
  steps_per_call=1,
  accumulate_steps=1,
  init_from="",
)
CALLS = dataclasses.replace(
  SETTINGS, steps=24, log_every=4, evaluate_every=8, steps_per_call=4
)
IDENTITY = Identity({}, {}, "data", (0, 1), {})


class Killed(Exception):
  pass


def evaluate(params):
  """Depends on the parameters and goes up and down."""
  value = float(np.abs(params["up"]["kernel"]).sum()) * 1e3
  return {"ndcg@10": value % 1.0, "recall@10": 0.5}


def digest(state):
  found = hashlib.sha256()
  for name, leaf in named_leaves(jax.device_get(state)).items():
    found.update(name.encode() + np.ascontiguousarray(leaf).tobytes())
  return found.hexdigest()


@pytest.fixture
def run(tiny, tmp_path):
  """Runs to the end or to an exception; the folder is kept between calls."""

  def go(layout="data:1,1,1", settings=SETTINGS, batches=tiny.batch, **options):
    backend = tiny.backend(layout)
    defaults = {"save_every": 4, "evaluate": evaluate}
    with Checkpoints(tmp_path / "checkpoints", 2, IDENTITY) as checkpoints:
      result = train(
        backend,
        batches,
        settings,
        checkpoints=checkpoints,
        writers=Writers([JsonLines(tmp_path / "metrics.jsonl")]),
        **defaults | options,
      )
    return result, backend.saved(result.state)

  return go


@pytest.fixture(scope="module")
def wanted(tiny):
  """The digest and result of a run that nothing stopped."""
  backend = tiny.backend("data:1,1,1")
  result = train(backend, tiny.batch, SETTINGS, evaluate=evaluate)
  return digest(result.state), result


def dying(batches, step):
  def make(number):
    if number == step:
      raise Killed
    return batches(number)

  return make


def test_an_undisturbed_run(run, wanted, tmp_path):
  result, state = run()
  assert digest(state) == wanted[0]
  assert (result.step, result.ending) == (23, "finished")
  assert result.best == wanted[1].best
  steps = reader.list_steps(tmp_path / "checkpoints")
  assert set(steps) == {20, 23, result.best_step}
  rows = read_rows(tmp_path / "metrics.jsonl")
  assert [r["step"] for r in rows if "loss" in r] == [5, 10, 15, 20, 23]
  assert [r["step"] for r in rows if "valid/ndcg@10" in r] == [6, 12, 18, 23]
  assert {"loss/items", "gradient_norm", "learning_rate"} <= rows[0].keys()


@pytest.mark.parametrize("seed", range(4))
def test_killed_anywhere_it_ends_the_same(run, wanted, tiny, seed):
  deaths = sorted(random.Random(seed).sample(range(23), 3))
  for death in deaths:
    with pytest.raises(Killed):
      run(batches=dying(tiny.batch, death))
  result, state = run()
  assert digest(state) == wanted[0], deaths
  assert (result.best, result.best_step) == (
    wanted[1].best,
    wanted[1].best_step,
  )


@pytest.mark.parametrize("step", [0, 5, 6, 12])
def test_asked_to_stop_it_saves_and_goes_on_the_same(
  run, wanted, tiny, tmp_path, step
):
  """Also where it would have evaluated or saved just then."""

  class StopAt(Stop):
    def at(self, call):
      return call == step

  result, _ = run(stop=StopAt())
  assert (result.ending, result.step) == ("interrupted", step)
  assert reader.list_steps(tmp_path / "checkpoints")[-1] == step
  _, state = run()
  assert digest(state) == wanted[0]


def test_an_evaluation_that_gives_up_is_made_again(run, wanted):
  calls = []

  def give_up(params):
    calls.append(1)
    return evaluate(params) if len(calls) < 2 else None

  result, _ = run(evaluate=give_up)
  assert (result.ending, result.step) == ("interrupted", 12)
  result, state = run()
  assert digest(state) == wanted[0]
  assert result.best_step == wanted[1].best_step


def test_a_finished_run_has_nothing_to_do(run, wanted):
  run()

  def never(step):
    raise AssertionError

  result, state = run(batches=never, evaluate=never)
  assert result.ending == "finished"
  assert digest(state) == wanted[0]


def test_a_finished_run_can_be_made_longer(run, tiny):
  run()
  longer = dataclasses.replace(SETTINGS, steps=26)
  result, _ = run(settings=longer)
  assert result.step == 26


def test_early_stopping_counts_on_after_a_kill(run, tiny):
  values = iter([0.3, 0.5, 0.4])
  patient = dataclasses.replace(SETTINGS, patience=2, evaluate_every=4)
  with pytest.raises(Killed):
    run(
      settings=patient,
      batches=dying(tiny.batch, 14),
      evaluate=lambda _: {"ndcg@10": next(values)},
    )
  options = {"settings": patient, "evaluate": lambda _: {"ndcg@10": 0.5}}
  result, _ = run(**options)
  assert (result.ending, result.step) == ("stopped early", 16)
  assert (result.best, result.best_step) == (0.5, 8)
  result, _ = run(**options)
  assert (result.ending, result.step) == ("stopped early", 16)


def test_the_best_checkpoint_outlives_newer_ones(run, tmp_path):
  values = iter([0.3, 0.9, 0.4, 0.5])
  run(evaluate=lambda _: {"ndcg@10": next(values)})
  steps = reader.list_steps(tmp_path / "checkpoints")
  assert steps == [12, 20, 23]
  assert reader.read_meta(tmp_path / "checkpoints", "best")["score"] == 0.9


def test_metrics_after_the_restored_step_are_void(run, tiny, tmp_path):
  path = tmp_path / "metrics.jsonl"
  with pytest.raises(Killed):
    run(batches=dying(tiny.batch, 19), save_every=8)
  with path.open("a") as file:
    file.write('{"step": 999, "loss": 1}\n{"step": 21, "lo')
  run(save_every=8)
  rows = read_rows(path)
  assert max(r["step"] for r in rows) == 23
  logs = [r["step"] for r in rows if "loss" in r]
  assert logs == sorted(set(logs))
  json.loads(path.read_text().splitlines()[-1])


def poisoning(batches, bad):
  def make(step):
    batch = batches(step)
    if step in bad:
      batch["factor"] = np.full_like(batch["factor"], np.nan)
    return batch

  return make


def test_a_bad_batch_is_skipped_and_told(run, tiny, capsys, tmp_path):
  result, state = run(batches=poisoning(tiny.batch, {6, 8}))
  assert result.ending == "finished"
  assert int(state.skipped) == 2
  assert (
    "WARN step 10: 2 of the last 5 steps were not finite, or too high, and not"
    " applied, the last at step 8" in capsys.readouterr().err
  )
  rows = {
    r["step"]: r for r in read_rows(tmp_path / "metrics.jsonl") if "loss" in r
  }
  assert rows[10]["skipped"] == pytest.approx(0.4)
  assert np.isfinite(rows[10]["loss"])


@pytest.mark.parametrize(
  ("log_every", "per_call", "first"),
  [
    *((1, 1, 6), (5, 1, 6), (1000, 1, 6), (4, 4, 6), (1000, 4, 6)),
    *((5, 1, 0), (1000, 4, 0)),  # while the rate warms up
  ],
)
def test_only_bad_batches_end_the_run(
  run, tiny, tmp_path, log_every, per_call, first
):
  settings = dataclasses.replace(
    SETTINGS, steps=60, log_every=log_every, steps_per_call=per_call
  )
  batches = poisoning(tiny.batch, set(range(first, 60)))
  said = r"^step \d+: .*not finite; first in the gradient of \w+"
  with pytest.raises(NonFiniteError, match=said) as e:
    run(settings=settings, batches=batches, save_every=1)
  assert e.value.exit_code == 4
  backend = tiny.backend("data:1,1,1")
  state, meta = Checkpoints(tmp_path / "checkpoints", 2, IDENTITY).restore(
    backend.template()
  )
  assert meta["step"] < first + 3 * SETTINGS.max_skipped_steps
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(state))
  if first == 0:
    assert digest(state.params) == digest(backend.init_state().params)


def losses(folder):
  rows = read_rows(folder / "metrics.jsonl")
  return {row["step"]: row["loss"] for row in rows if "loss" in row}


def assert_close(state, wanted):
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5),
    jax.device_get(state),
    jax.device_get(wanted),
  )


def test_several_steps_in_a_call_are_the_same_steps(run, tiny, tmp_path):
  batches = poisoning(tiny.batch, {5, 6, 12})
  result, state = run(settings=CALLS, batches=batches)
  assert (result.ending, int(state.skipped)) == ("finished", 3)
  found = losses(tmp_path)
  assert list(found) == [4, 8, 12, 16, 20, 24]
  (tmp_path / "metrics.jsonl").unlink()
  singly = dataclasses.replace(CALLS, steps_per_call=1)
  wanted = train(
    tiny.backend("data:1,1,1"),
    batches,
    singly,
    writers=Writers([JsonLines(tmp_path / "metrics.jsonl")]),
  )
  assert found == pytest.approx(losses(tmp_path), rel=1e-5)
  assert_close(state, wanted.state)


def test_calls_of_several_steps_end_the_same_after_kills(run, tiny, tmp_path):
  wanted = train(
    tiny.backend("data:1,1,1"), tiny.batch, CALLS, evaluate=evaluate
  )
  for death in (6, 15):
    with pytest.raises(Killed):
      run(settings=CALLS, batches=dying(tiny.batch, death))
  assert reader.list_steps(tmp_path / "checkpoints")[-1] == 12
  result, state = run(settings=CALLS)
  assert digest(state) == digest(wanted.state)
  assert result.best_step == wanted.best_step


def test_a_run_goes_on_with_longer_calls_from_between_two(run, tiny, tmp_path):
  class StopAt(Stop):
    def at(self, call):
      return call == 6

  result, _ = run(stop=StopAt())
  assert result.step == 6
  _, state = run(settings=CALLS)
  wanted = train(tiny.backend("data:1,1,1"), tiny.batch, CALLS)
  rows = read_rows(tmp_path / "metrics.jsonl")
  assert [r["step"] for r in rows if "valid/ndcg@10" in r] == [8, 16, 24]
  assert_close(state, wanted.state)


def test_the_rate_leaves_the_compiling_call_out(run, tmp_path):
  run(settings=CALLS)
  rows = read_rows(tmp_path / "metrics.jsonl")
  rates = [r.get("steps_per_second") for r in rows if "loss" in r]
  assert rates[0] is None
  assert all(rate > 0 for rate in rates[1:])


def test_waiting_for_batches_is_no_training(run, tiny):
  def slow(step):
    time.sleep(0.05)
    return tiny.batch(step)

  result, _ = run(batches=slow, evaluate=None, save_every=0)
  assert result.seconds["data"] > 0.6 * 23 * 0.05


def test_the_watched_metric_must_exist(run):
  with pytest.raises(UserError, match="use 'ndcg@10'"):
    run(
      evaluate=evaluate, settings=dataclasses.replace(SETTINGS, watch="ndgc@10")
    )


def test_an_error_of_the_pipeline_names_its_step(run, tiny):
  with pytest.raises(Killed) as error:
    run(batches=dying(tiny.batch, 7))
  assert error.value.__notes__ == ["while making the batch of step 7"]


def test_a_failed_save_ends_the_run_at_once(run, tiny, monkeypatch):
  from tagrec_jax.checkpoint import manifest

  def full(path):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(manifest, "write", full)
  with pytest.raises(StorageError, match="No space left"):
    run()


@pytest.mark.parametrize(
  "layout",
  ["fsdp_tensor:2,2,2", pytest.param("pmap", marks=pytest.mark.nightly)],
)
def test_a_run_goes_on_in_another_layout(run, wanted, layout):
  run(settings=dataclasses.replace(SETTINGS, steps=12))
  _, state = run(layout=layout)
  assert_close(state, wanted[1].state)
