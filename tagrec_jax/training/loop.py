"""The loop: batches in, a trained state out, and nothing lost on the way.

Everything that happens between two calls (log, evaluate, save, end) is decided
from the step and what is saved with it, so a run that was killed and started
again ends like one that was not, bit for bit on the same devices.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from tagrec_jax.checkpoint.manager import Checkpoints
from tagrec_jax.core.errors import NonFiniteError
from tagrec_jax.core.log import say, warn
from tagrec_jax.core.settings import TrainSettings
from tagrec_jax.core.sums import Sum
from tagrec_jax.core.trees import named_leaves
from tagrec_jax.training.clock import Clock
from tagrec_jax.training.parallel import Backend, Batches, HostBatch
from tagrec_jax.training.prefetch import Prefetch, calls
from tagrec_jax.training.progress import ProgressBar
from tagrec_jax.training.roll_backs import RollBacks
from tagrec_jax.training.state import TrainState
from tagrec_jax.training.step import TOO_HIGH, Report
from tagrec_jax.training.stop import Stop
from tagrec_jax.training.watch import Watch
from tagrec_jax.training.writers import Writers

Evaluate = Callable[[dict[str, Any]], Mapping[str, float] | None]
"""Parameters → metrics; None if it gave up because the run should end."""


OnSkipped = Callable[[Mapping[int, int]], None]
"""Takes steps that were not applied, each with the number of its batch."""


@dataclasses.dataclass(frozen=True)
class Result:
  """How a run ended.

  Attributes:
    state: the live state.
    step: batches taken in all.
    ending: 'finished', 'stopped early' or 'interrupted'.
    best, best_step: the best evaluation; None and -1 without one.
    seconds: what the time was spent on.
  """

  state: TrainState
  step: int
  ending: str
  best: float | None
  best_step: int
  seconds: dict[str, float]


def train(
  backend: Backend,
  batches: Callable[[int], HostBatch],
  settings: TrainSettings,
  *,
  save_every: int = 0,
  checkpoints: Checkpoints | None = None,
  evaluate: Evaluate | None = None,
  writers: Writers | None = None,
  stop: Stop | None = None,
  restore_step: int | None = None,
  on_skipped: OnSkipped = lambda _: None,
) -> Result:
  """Trains, from the newest checkpoint if there is one.

  Args:
    batches: step → this process's rows; a pure function.
    save_every: steps; 0 saves only best evaluations and the end.
    evaluate: called every `settings.evaluate_every` steps and at the end.
    writers: of the metrics; only the first of several processes uses them.
    stop: asked between two calls whether to save and end.
    restore_step: begin from this checkpoint and no other.
    on_skipped: called after each log, and before the run goes back.

  Raises:
    NonFiniteError: after `settings.max_skipped_steps` steps in a row without a
      finite update, of which nothing was saved, or where the run would go back
      to a checkpoint more than `settings.max_roll_backs` times.
    StorageError: if a checkpoint cannot be written or none is whole.
  """
  loop = _Loop(
    backend,
    settings,
    save_every,
    checkpoints,
    evaluate,
    writers if writers and jax.process_index() == 0 else Writers(),
    stop or Stop(),
    on_skipped if jax.process_index() == 0 else lambda _: None,
  )
  loop.begin(restore_step)
  return loop.run(batches)


@jax.jit
def _merge(a: dict[str, Sum], b: dict[str, Sum]) -> dict[str, Sum]:
  return {name: a[name].merge(b[name]) for name in a}


class _Loop:
  def __init__(
    self,
    backend: Backend,
    settings: TrainSettings,
    save_every: int,
    checkpoints: Checkpoints | None,
    evaluate: Evaluate | None,
    writers: Writers,
    stop: Stop,
    on_skipped: OnSkipped,
  ):
    self._backend = backend
    self._settings = settings
    self._save_every = save_every
    self._checkpoints = checkpoints
    self._evaluate = evaluate
    self._writers = writers
    self._stop = stop
    self._on_skipped = on_skipped
    self._clock = Clock()
    self._watch = Watch(settings.watch, settings.patience)
    self._roll_backs = RollBacks(settings.max_roll_backs)
    self._sums: Any = None  # of the steps since the last log, on the device
    self._report: Report | None = None  # of the last call
    self._bad: list[tuple[range, Any]] = []  # flags of the calls since the log
    self._untimed = 0  # steps since the last log that count as compilation
    self._saved = -1
    self._compiled = False

  def begin(self, restore_step: int | None) -> None:
    """Finds the state to begin with."""
    restored = None
    if self._checkpoints is not None:
      with self._clock.part("restore"):
        template = self._backend.template()
        restored = self._checkpoints.restore(template, restore_step)
    if restored is None:
      self._step = 0
      with self._clock.part("compile"):
        self._state = jax.block_until_ready(self._backend.init_state())
    else:
      self._resume(*restored)
      progress = restored[1]["progress"]
      self._roll_backs.resume(progress.get("roll_backs", {}))
      say(f"going on from the checkpoint of step {self._step}")
    self._logged = self._step
    self._asked = self._step // self._settings.steps_per_call
    self._writers.begin(self._step)
    self._clock.add("lost", self._writers.lost)
    self._mark_time()

  def _resume(self, saved: Any, meta: Mapping[str, Any]) -> None:
    self._step = self._saved = meta["step"]
    self._state = self._backend.live(saved)
    self._watch.resume(meta["progress"])

  def _mark_time(self) -> None:
    """What is trained from now on is lost if the run goes back."""
    self._lap = self._seconds_of_steps()
    self._kept = self._clock.seconds()["train"]

  def run(self, batches: Callable[[int], HostBatch]) -> Result:
    """Trains to the end, whatever ends it."""
    with ProgressBar(self._step, self._settings.steps) as bar:
      while not (ending := self._until_it_goes_back(batches, bar)):
        pass
    if self._checkpoints is not None:
      with self._clock.part("checkpoint"):
        self._checkpoints.wait()
    say(f"{ending} at step {self._step}; {self._clock.line()}")
    return Result(
      self._state,
      self._step,
      ending,
      self._watch.best,
      self._watch.best_step,
      self._clock.seconds(),
    )

  def _until_it_goes_back(
    self, batches: Callable[[int], HostBatch], bar: ProgressBar
  ) -> str:
    """Trains with one numbering of the batches; the reason to end, or ''."""
    settings, shift = self._settings, self._roll_backs.shift
    with Prefetch(
      lambda step: batches(step + shift),
      self._backend.place_batches,
      calls(self._step, settings.steps, settings.steps_per_call),
    ) as prefetch:
      while not (ending := self._between_calls(bar)):
        self._take_steps(*self._next_batches(prefetch))
        if self._goes_back():
          return ""
    return ending

  def _goes_back(self) -> bool:
    """Goes back if the loss of the last call is too high; whether it did.

    Asked after every call, not when it is convenient: where a run goes back
    must not depend on where it was interrupted.
    """
    rolls = self._roll_backs
    if not rolls.most or rolls.checkpoint < 0 or self._checkpoints is None:
      return False
    steps, bad = self._bad[-1]
    flags = np.atleast_1d(self._backend.fetch(bad))
    high = [n for n, why in zip(steps, flags, strict=True) if why == TOO_HIGH]
    if not high:
      return False
    self._on_skipped({high[0]: rolls.batch_of(high[0])})
    rolls.check(high[0])
    self._clock.take("lost", self._clock.seconds()["train"] - self._kept)
    with self._clock.part("restore"):
      self._checkpoints.wait()
      if jax.process_count() > 1:  # the first process puts them in their place
        multihost_utils.sync_global_devices("checkpoints are in their place")
      self._state = None  # before there are two
      restored = self._checkpoints.restore(
        self._backend.template(), rolls.checkpoint, exact=False
      )
    assert restored is not None, "the checkpoints are gone"
    self._resume(*restored)
    rolls.back(high[0], self._step)
    self._sums, self._report = None, None
    self._bad.clear()
    self._logged, self._untimed = self._step, 0
    self._writers.begin(self._step)
    self._mark_time()
    return True

  def _next_batches(
    self, prefetch: Prefetch[HostBatch, Batches]
  ) -> tuple[range, Batches]:
    if not prefetch.ready:
      # Time is spent on data only while the devices have nothing else to do.
      jax.block_until_ready(self._report)
    with self._clock.part("data"):
      return prefetch.take()

  def _take_steps(self, steps: range, batches: Batches) -> None:
    if not self._compiled:
      with self._clock.part("compile"):
        self._state, report = self._backend.train_steps(self._state, batches)
        jax.block_until_ready(report)
      self._untimed = len(steps)
      self._compiled = True
    else:
      self._state, report = self._backend.train_steps(self._state, batches)
    self._bad.append((steps, report.bad))
    before, self._report = self._report, report
    # The call before may still run, so the devices need not wait for this one;
    # more calls ahead would only hold more batches.
    jax.block_until_ready(before)
    self._step = steps.stop
    self._sums = (
      report.sums if self._sums is None else _merge(self._sums, report.sums)
    )
    limit = self._settings.max_skipped_steps
    if steps.start // limit < steps.stop // limit:
      self._check_finite(before)

  def _between_calls(self, bar: ProgressBar) -> str:
    """Logs, evaluates and saves where it is time; the reason to end, or ''."""
    settings, step = self._settings, self._step
    if self._checkpoints is not None:
      self._checkpoints.check()
    ending = "interrupted" if self._stop.at(self._asked) else ""
    self._asked += 1
    at_end = step >= settings.steps
    if step % settings.log_every == 0 or at_end or ending:
      self._log(bar)
    improved = False
    evaluate = step > 0 and (step % settings.evaluate_every == 0 or at_end)
    if evaluate and not ending and self._watch.evaluated != step:
      finished, improved = self._evaluate_now()
      ending = "" if finished else "interrupted"
    if not ending and self._watch.exhausted:
      ending = "stopped early"
    if not ending and at_end:
      ending = "finished"
    save = self._save_every > 0 and step > 0 and step % self._save_every == 0
    if improved or save:
      self._roll_backs.saved(step)
    if improved or ((save or ending) and self._saved != step):
      self._save()
      self._kept = self._clock.seconds()["train"]
    return ending

  def _log(self, bar: ProgressBar) -> None:
    """Fetches and writes what the steps since the last log summed up."""
    if self._sums is None or self._report is None:
      return
    sums, report = self._backend.fetch((self._sums, self._report))
    steps, self._sums = self._step - self._logged, None
    self._logged = self._step
    values = {
      name: float(value.total / value.weight)
      for name, value in sums.items()
      if value.weight > 0
    }
    seconds = self._seconds_of_steps()
    if timed := steps - self._untimed:
      values["steps_per_second"] = timed / max(seconds - self._lap, 1e-9)
    self._lap, self._untimed = seconds, 0
    if self._roll_backs.most:
      values["roll_backs"] = float(self._roll_backs.total)
    self._tell_skipped(steps, int(report.last_skipped))
    self._writers.write(self._step, values)
    bar.show(self._step, values.get("loss"), values.get("steps_per_second"))
    self._check_finite(self._report)

  def _tell_skipped(self, steps: int, last: int) -> None:
    """Names the steps since the last log that were not applied."""
    flags = self._backend.fetch([bad for _, bad in self._bad])
    skipped = [
      step
      for (numbers, _), bad in zip(self._bad, flags, strict=True)
      for step, is_bad in zip(numbers, np.atleast_1d(bad), strict=True)
      if is_bad
    ]
    self._bad.clear()
    if skipped:
      warn(
        f"step {self._step}: {len(skipped)} of the last {steps} steps were not"
        f" finite, or too high, and not applied, the last at step {int(last)}"
      )
      self._on_skipped({n: self._roll_backs.batch_of(n) for n in skipped})

  def _seconds_of_steps(self) -> float:
    spent = self._clock.seconds()
    return spent["train"] + spent.get("data", 0.0)

  def _evaluate_now(self) -> tuple[bool, bool]:
    """(whether it was not given up, whether it is the best so far)."""
    if self._evaluate is None:
      return True, False
    jax.block_until_ready(self._state.step)
    with self._clock.part("evaluation"):
      values = self._evaluate(self._backend.answering(self._state))
    if values is None:
      return False, False
    self._writers.write(
      self._step, {f"valid/{name}": value for name, value in values.items()}
    )
    return True, self._watch.update(self._step, values)

  def _save(self) -> None:
    if self._checkpoints is None:
      return
    with self._clock.part("checkpoint"):
      self._checkpoints.save(
        self._step,
        self._backend.saved(self._state),
        {
          **self._watch.to_plain(),
          "roll_backs": self._roll_backs.to_plain(),
        },
        self._watch.score(self._step),
        needed=self._roll_backs.checkpoint,
      )
    self._saved = self._step

  def _check_finite(self, report: Report | None) -> None:
    """Gives up after too many steps in a row that were not applied."""
    if report is None:
      return
    in_row = self._backend.fetch(report.skipped_in_row)
    if in_row < self._settings.max_skipped_steps:
      return
    found = self._backend.fetch(report)
    leaf = "the loss or the update"
    if found.bad_leaf >= 0:
      leaf = list(named_leaves(self._state.params))[int(found.bad_leaf)]
      leaf = f"the gradient of {leaf}"
    bad = "not finite or far too high" if self._state.usual else "not finite"
    raise NonFiniteError(
      f"step {int(found.last_skipped)}",
      f"{int(in_row)} steps in a row were {bad}; first in {leaf}",
      fix="lower config.optimizer.learning_rate or set clip_norm; the newest"
      " checkpoint is finite",
    )
