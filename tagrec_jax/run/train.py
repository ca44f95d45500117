"""One training run: data, training, measuring, a look at the result."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
from rich.console import Console

from tagrec_jax import build
from tagrec_jax.checkpoint.manager import Checkpoints
from tagrec_jax.core import host
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.interrupt import Interrupted
from tagrec_jax.core.log import say, warn
from tagrec_jax.core.settings import Settings, to_dict
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.evaluation.report import Report
from tagrec_jax.run import additions, examples, start, told, trained
from tagrec_jax.run import evaluate as evaluating
from tagrec_jax.run.calibration import calibrated
from tagrec_jax.run.measure import Asker, Measure, Scores
from tagrec_jax.run.skipped import SkippedSteps
from tagrec_jax.sharding.answering import answering
from tagrec_jax.tasks.task import Task
from tagrec_jax.training import loop
from tagrec_jax.training.plot import plot_curves
from tagrec_jax.training.run_folder import RunFolder, open_run, versions
from tagrec_jax.training.stop import Stop, stop_on_signals
from tagrec_jax.training.writers import JsonLines, TensorBoard, Writers


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What a run came to.

  Attributes:
    folder: names of the files it left.
    result: of the loop; None if it was interrupted before or after.
    reports: split → target → model → report; empty if it was interrupted.
  """

  folder: RunFolder
  result: loop.Result | None
  reports: dict[str, dict[str, dict[str, Report]]]


def train(
  settings: Settings,
  workdir: str,
  restore: str = "auto",
  allow_changes: bool = False,
  restore_cast: bool = False,
) -> Outcome:
  """Trains a model, or goes on with it, and shows how good it became.

  Args:
    restore: 'auto' goes on from the newest checkpoint if there is one; a step
      goes on from that one; 'none' puts what is there aside.
    allow_changes: go on although config, data or seed are not what the
      checkpoint was made with.
    restore_cast: go on although numbers of the checkpoint are of another type.

  Raises:
    UserError: if config, data and checkpoints do not fit together.
    BusyError: if another run works in `workdir`.
  """
  host.prepare(settings.data.cache_dir)
  with open_run(workdir) as folder:
    try:
      may = _May(allow_changes, restore_cast)
      return _run(settings, workdir, folder, restore, may)
    except Interrupted as signal:
      say(f"{signal}: nothing is lost; the same command goes on:")
      say(f"  {told.command(workdir)}")
      return Outcome(folder, None, {})


@dataclasses.dataclass(frozen=True)
class _May:
  """What may differ from a checkpoint: what it was made with, its numbers."""

  change: bool
  cast: bool


def _run(
  settings: Settings,
  workdir: str,
  folder: RunFolder,
  restore: str,
  may: _May,
) -> Outcome:
  console = Console()
  restore_step = _restore_step(folder, restore)
  added = additions.read(folder.path)
  dataset = build.dataset(settings, added.items, added.tags)
  console.print(told.data_table(settings, dataset))
  model = build.model(settings, dataset)
  mesh, preset = answering(settings.sharding)
  asker = Asker(model, mesh)
  made = versions()
  with Checkpoints(
    folder.checkpoints,
    settings.checkpoint.keep,
    trained.identity(settings, dataset, made),
    may.change,
    may.cast,
  ) as checkpoints:
    description = _Description(folder, settings, made)
    result = _train(
      settings, dataset, model, asker, description, checkpoints, restore_step
    )
  if result.ending == "interrupted":
    say(f"saved; the same command goes on: {told.command(workdir)}")
    return Outcome(folder, result, {})
  params, meta = trained.restore_params(folder, model, mesh=mesh, preset=preset)
  how = "the last" if settings.data.train_on_valid else "the best on valid"
  say(f"measuring the checkpoint of step {meta['step']}, {how}")
  scores = asker.of(params)
  reports = _report(console, settings, dataset, scores, folder)
  told.next_commands(console, settings, workdir)
  return Outcome(folder, result, reports)


def _train(
  settings: Settings,
  dataset: Dataset,
  model: Task,
  asker: Asker,
  description: _Description,
  checkpoints: Checkpoints,
  restore_step: int | None,
) -> loop.Result:
  """The loop with its checkpoints, metrics and signals."""
  folder = description.folder
  recipe = start.started(
    build.recipe(settings, model), settings, dataset, folder
  )
  backend = build.backend(settings, recipe)
  with contextlib.ExitStack() as stack:
    stop = stack.enter_context(stop_on_signals())
    writers = Writers(
      [
        description,
        JsonLines(folder.metrics),
        TensorBoard(folder.tensorboard),
      ]
    )
    stack.callback(writers.close)
    batches = build.train_batches(settings, dataset, backend.host_share)
    return loop.train(
      backend,
      batches,
      settings.train,
      save_every=settings.checkpoint.save_every,
      checkpoints=checkpoints,
      evaluate=None
      if settings.data.train_on_valid
      else _watching(settings, dataset, asker, stop),
      writers=writers,
      stop=stop,
      restore_step=restore_step,
      on_skipped=SkippedSteps(folder.skipped, dataset, batches),
    )


def _watching(
  settings: Settings, dataset: Dataset, asker: Asker, stop: Stop
) -> Callable[[Any], Mapping[str, float] | None]:
  """What the loop asks on valid now and then."""
  measure = Measure(
    settings,
    dataset,
    "valid",
    most=settings.evaluation.max_valid_people,
    intervals=False,
  )
  target = build.targets(settings)[0]

  def watch(params: Any) -> Mapping[str, float] | None:
    scores = asker.of(params)

    def ask(batch: Mapping[str, Any]) -> Any:
      if stop.requested:
        raise _Interrupted
      return scores(batch)[target]

    try:
      return measure.one(target, ask, settings.name).metrics
    except _Interrupted:
      return None

  return watch


class _Description:
  """Writes config and versions once the run has begun.

  A run that its checkpoints refuse must not overwrite what they were made with.
  """

  def __init__(
    self, folder: RunFolder, settings: Settings, made: Mapping[str, str]
  ):
    self.folder = folder
    self._write = lambda: folder.describe(to_dict(settings), made)

  def begin(self, step: int) -> None:
    del step
    self._write()

  def write(self, step: int, values: Mapping[str, float]) -> None:
    """Nothing changes later."""

  def close(self) -> None:
    """Nothing is open."""


class _Interrupted(Exception):
  """Somebody asked the run to end while it was evaluating."""


def _report(
  console: Console,
  settings: Settings,
  dataset: Dataset,
  scores: Scores,
  folder: RunFolder,
) -> dict[str, dict[str, dict[str, Report]]]:
  """Tables for valid and test, people to look at, the learning curve."""
  protocol = settings.evaluation.protocol
  reports = {}
  splits = ("valid", "test")[settings.data.train_on_valid :]
  for split in splits:
    measure = Measure(
      settings,
      dataset,
      split,
      calibration=calibrated(settings, dataset, scores, split),
    )
    reports[split] = measure.all(scores)
    evaluating.show(console, settings, reports[split], split)
    evaluating.save(folder.evaluation, reports[split], split, protocol)
  console.print(examples.table(settings, dataset, scores))
  if jax.process_index():
    return reports
  try:
    plot_curves(folder.metrics, folder.curves, settings.train.watch)
    console.print(f"Learning curve: {folder.curves}")
  except (OSError, UserError) as error:  # the run has lost its metrics
    warn(f"no learning curve: {error}")
  return reports


def _restore_step(folder: RunFolder, restore: str) -> int | None:
  """The step to begin from; None for the newest, or for the beginning."""
  if restore.isdecimal():
    return int(restore)
  if restore not in ("auto", "none"):
    raise UserError(
      "--restore", f"found '{restore}'", "auto, none or a step", "use auto"
    )
  if restore == "none" and folder.checkpoints.exists():
    number = 1
    while (aside := folder.path / f"checkpoints.aside-{number}").exists():
      number += 1
    os.replace(folder.checkpoints, aside)
    say(f"starting anew; the checkpoints before are in {aside}")
  return None
