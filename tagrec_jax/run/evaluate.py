"""Measure a trained model again, under any protocol."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

import jax
from rich.console import Console

from tagrec_jax import build
from tagrec_jax.core import files
from tagrec_jax.core.errors import StorageError, UserError
from tagrec_jax.core.settings import Settings
from tagrec_jax.evaluation import moments, table
from tagrec_jax.evaluation.report import Report
from tagrec_jax.run import trained
from tagrec_jax.run.calibration import calibrated
from tagrec_jax.run.measure import OURS, Measure
from tagrec_jax.training.run_folder import RunFolder

SHOWN = {
  "items": ("recall@1", "recall@5", "recall@10", "ndcg@10", "mrr@10"),
  "tags": (
    *("precision@1", "precision@5", "ndcg@5", "psp@5", "micro_f1"),
    *("f1_of_means@5", "map@5"),
  ),
}


def evaluate(
  workdir: str,
  *,
  split: str = "test",
  protocols: Sequence[str] = (),
  checkpoint: str = "best",
  baselines: bool = True,
  shuffle_context: int = 0,
  output: str = "",
) -> dict[str, dict[str, dict[str, Report]]]:
  """Prints a table for each protocol and target, and keeps the reports.

  Returns:
    protocol → target → model → report.

  Raises:
    UserError: if a protocol is not known, or the split was trained on.
  """
  for name in protocols:
    build.PROTOCOLS.check(name)
  run = trained.load(workdir, checkpoint)
  if split == "valid" and run.settings.data.train_on_valid:
    raise UserError(
      "--split",
      "found 'valid', but this run trained on it",
      "test",
      "use --split=test",
    )
  if shuffle_context:
    _check_moment(run.settings)
  run_folder = RunFolder(pathlib.Path(workdir))
  folder = pathlib.Path(output) if output else run_folder.evaluation
  console = Console()
  console.print(f"{workdir}, step {run.step}, {split}")
  # On valid, whatever the protocol: so once for all.
  calibration = calibrated(run.settings, run.dataset, run.scores, split)
  found = {}
  for protocol in protocols or (run.settings.evaluation.protocol,):
    measure = Measure(
      run.settings,
      run.dataset,
      split,
      protocol=protocol,
      calibration=calibration,
    )
    found[protocol] = measure.all(run.scores, baselines=baselines)
    show(console, run.settings, found[protocol], split)
    save(folder, found[protocol], split, protocol)
    if shuffle_context:
      others = [
        measure.at_other_moments(run.scores, seed)
        for seed in range(shuffle_context)
      ]
      name = f"{split}-{protocol}"
      _show_gains(console, run.settings, found[protocol], others, folder, name)
  return found


def _check_moment(settings: Settings) -> None:
  if not settings.model.moment or settings.task == "tag_item":
    raise UserError(
      "--shuffle_context",
      "the model reads no moment",
      "a run with config.model.moment",
      "leave it out",
    )


def _show_gains(
  console: Console,
  settings: Settings,
  reports: Mapping[str, Mapping[str, Report]],
  others: Sequence[Mapping[str, Report]],
  folder: pathlib.Path,
  name: str,
) -> None:
  """Of the true moments over shuffled ones: a table and a file a target."""
  samples = settings.evaluation.bootstrap_samples or 1000
  for target, models in reports.items():
    shuffled = [other[target] for other in others]
    gains = moments.gains(models[OURS], shuffled, samples, settings.seed)
    console.print(moments.table(gains, SHOWN[target]))
    told = {measure: dataclasses.asdict(g) for measure, g in gains.items()}
    if not jax.process_index():
      files.write_json(folder / f"{name}-{target}-moments.json", told)


def show(
  console: Console,
  settings: Settings,
  reports: Mapping[str, Mapping[str, Report]],
  split: str,
) -> None:
  """A table for each target, the slices of our own model below the first."""
  for target, models in reports.items():
    known = set(models[OURS].metrics)
    names = [name for name in SHOWN[target] if name in known]
    compared = table.compare(models, names=names, ours=OURS)
    compared.title = f"{settings.name}: {target}, {split}"
    console.print(compared)
  slices = next(iter(reports.values()))[OURS]
  if slices.slices:
    console.print(table.slices_table(slices))


def save(
  folder: pathlib.Path,
  reports: Mapping[str, Mapping[str, Report]],
  split: str,
  protocol: str,
) -> None:
  """One JSON file for each target and model; of several processes, by one.

  Raises:
    StorageError: if they cannot be written.
  """
  if jax.process_index():
    return
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise StorageError(
      str(folder),
      f"the reports cannot be written ({error.strerror})",
      fix="make room there, then measure again by experiments.evaluate",
    ) from error
  for target, models in reports.items():
    for model, report in models.items():
      name = f"{split}-{protocol}-{target}-{model}.json"
      report.save(str(folder / name))
