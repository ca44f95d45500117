"""What each modality adds: the same config trained on more and more of them."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tagrec_jax import build
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.log import say
from tagrec_jax.core.settings import Settings, to_dict
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.spec import TAGS
from tagrec_jax.data.tag_counts import TagCounts
from tagrec_jax.evaluation import paired
from tagrec_jax.evaluation.paired import TAG_MEASURES, Measured
from tagrec_jax.evaluation.report import Report
from tagrec_jax.evaluation.tag_meter import without_repeats
from tagrec_jax.run import trained
from tagrec_jax.run.measure import OURS
from tagrec_jax.run.train import train
from tagrec_jax.training.run_folder import RunFolder

POPULARITY = "tag_popularity"


@dataclasses.dataclass(frozen=True)
class Variant:
  """One row of the table.

  Attributes:
    label: as the row is called.
    product: `config.model.product`.
    changes: other keys of `config.model` → values.
    beside: the row it is compared with; None for popularity.
  """

  label: str
  product: tuple[str, ...]
  changes: Mapping[str, Any]
  beside: int | None

  @property
  def folder(self) -> str:
    """The name of its runs' folders: what it reads, and what else differs."""
    changes = [f"{name}={value}" for name, value in self.changes.items()]
    return ",".join(["+".join(self.product), *changes])

  def settings(self, settings: Settings, seed: int) -> Settings:
    """The config it is trained with."""
    plain = to_dict(settings)
    plain["model"] |= {"product": self.product, **self.changes}
    return build.settings(plain | {"seed": seed})


@dataclasses.dataclass(frozen=True)
class Row:
  """What was found for one variant, or for popularity.

  Attributes:
    label: as the row is called.
    beside: the label of the row it is compared with; '' for none.
    values, intervals: measure → the mean over seeds, its 95 % interval.
    gaps: measure → what is above the other row: found, lowest, highest.
  """

  label: str
  beside: str
  values: dict[str, float]
  intervals: dict[str, tuple[float, float]]
  gaps: dict[str, tuple[float, float, float]]


@dataclasses.dataclass(frozen=True)
class Ablation:
  """The rows, and what they depend on."""

  rows: tuple[Row, ...]
  conditions: dict[str, Any]


def variants(told: str) -> tuple[Variant, ...]:
  """Reads the rows of a table.

  Args:
    told: rows with ';' between them: 'a,b' reads the features a and b; '+c'
      reads c besides what the row before read; 'fusion=transformer' is the row
      before with another `config.model.fusion`.

  Raises:
    UserError: a row is empty, there twice, or adds to nothing.
  """
  found: list[Variant] = []
  for text in (part.strip() for part in told.split(";")):
    before = found[-1] if found else None
    anew = not text.startswith("+") and "=" not in text
    if not text.strip("+, ") or (before is None and not anew):
      raise UserError(
        "--features",
        f"found '{text}' in '{told}'",
        "names of features; what adds to a row stands after one",
        "write such as 'ngrams;+brand;+image;image'",
      )
    if anew or before is None:
      made = Variant(text, _names(text), {}, None)
    elif text.startswith("+"):
      product = before.product + _names(text[1:])
      made = Variant(text, product, before.changes, len(found) - 1)
    else:
      name, _, value = text.partition("=")
      changes = {**before.changes, name.strip(): _value(value.strip())}
      made = Variant(text, before.product, changes, len(found) - 1)
    if made.folder in [other.folder for other in found]:
      raise UserError(
        "--features", f"found '{made.folder}' twice", "each row once"
      )
    found.append(made)
  return tuple(found)


def ablate(
  settings: Settings,
  rows: Sequence[Variant],
  workdir: pathlib.Path,
  seeds: Sequence[int],
) -> Ablation | None:
  """Trains every variant with every seed, as far as that was not done before.

  Returns:
    The table on test; None if the work was interrupted.

  Raises:
    UserError: a row reads what the data set does not have.
  """
  if settings.task != "tag_item":
    raise UserError(
      "config.task",
      f"found '{settings.task}'",
      "'tag_item'",
      "take a config such as configs/clipart.py",
    )
  runs = [[row.settings(settings, seed) for seed in seeds] for row in rows]
  dataset = build.dataset(settings)
  for run in runs:  # all mistakes are told before the work begins
    build.check_features(run[0], dataset.spec)
  gains_QM = _gains(dataset)
  popular: Report | None = None
  found: list[dict[str, Measured]] = []
  for row, run in zip(rows, runs, strict=True):
    reports = []
    for seed, one in zip(seeds, run, strict=True):
      place = f"row {len(found) + 1} of {len(rows)}, seed {seed}"
      folder = workdir / f"{row.folder},seed={seed}"
      say(f"{place}: {', '.join(row.product)}")
      reports_of = _trained(one, folder)
      if reports_of is None:
        return None
      reports.append(reports_of[OURS])
      popular = popular or reports_of[POPULARITY]
    found.append(_measured(reports, gains_QM))
    told = (f"{n} {m.value:.4f}" for n, m in found[-1].items())
    say(f"{row.label}: {', '.join(told)}")
  assert popular is not None, "at least one row"
  return Ablation(
    _rows(rows, found, _measured([popular], gains_QM), settings),
    _conditions(settings, dataset, seeds, popular, workdir),
  )


def _names(text: str) -> tuple[str, ...]:
  return tuple(name.strip() for name in text.split(",") if name.strip())


def _value(text: str) -> Any:
  """A number, or else the text itself."""
  try:
    return ast.literal_eval(text)
  except (ValueError, SyntaxError):
    return text


def _trained(
  settings: Settings, folder: pathlib.Path
) -> dict[str, Report] | None:
  """Our report and that of popularity; None if training was interrupted."""
  run = RunFolder(folder)
  names = {
    name: f"test-{settings.evaluation.protocol}-tags-{name}.json"
    for name in (POPULARITY, OURS)
  }
  # A folder of no run, or of one that did not come to its end.
  with contextlib.suppress(UserError, OSError, ValueError):
    if trained.read_settings(run) == settings:
      kept = {
        name: Report.load(run.evaluation / file) for name, file in names.items()
      }
      say(f"  {folder} is finished already")
      return kept
  outcome = train(settings, str(folder))
  if not outcome.reports:
    return None
  return {name: outcome.reports["test"]["tags"][name] for name in names}


def _gains(dataset: Dataset) -> np.ndarray:
  """What each right tag is worth, of the questions in their order."""
  rows = dataset.test_items
  right_QM = without_repeats(dataset.product[TAGS])[rows]
  counts = TagCounts.of(dataset).with_new(dataset.spec.num_new_tags)
  gains_V = 1 / counts.propensities()
  return gains_V[np.maximum(right_QM, 0)][(right_QM >= 0).any(axis=1)]


def _measured(
  reports: Sequence[Report], gains_QM: np.ndarray
) -> dict[str, Measured]:
  """Each measure, its values the means over the reports."""
  return {
    name: paired.mean(
      [paired.measured(of, report.ranks_PM, gains_QM) for report in reports]
    )
    for name, of in TAG_MEASURES.items()
  }


def _rows(
  variants: Sequence[Variant],
  found: Sequence[dict[str, Measured]],
  popular: dict[str, Measured],
  settings: Settings,
) -> tuple[Row, ...]:
  """Popularity, then every variant beside another row."""
  samples = max(settings.evaluation.bootstrap_samples, 1)
  seed = settings.seed

  def row(
    label: str,
    ours: dict[str, Measured],
    beside: str = "",
    other: dict[str, Measured] | None = None,
  ) -> Row:
    return Row(
      label,
      beside,
      {name: one.value for name, one in ours.items()},
      {name: one.interval(samples, seed) for name, one in ours.items()},
      {
        name: (
          ours[name].value - one.value,
          *paired.difference(ours[name], one, samples, seed),
        )
        for name, one in (other or {}).items()
      },
    )

  rows = [row("popularity", popular)]
  for variant, ours in zip(variants, found, strict=True):
    if variant.beside is None:
      rows.append(row(variant.label, ours, "popularity", popular))
    else:
      label = variants[variant.beside].label
      rows.append(row(variant.label, ours, label, found[variant.beside]))
  return tuple(rows)


def _conditions(
  settings: Settings,
  dataset: Dataset,
  seeds: Sequence[int],
  report: Report,
  workdir: pathlib.Path,
) -> dict[str, Any]:
  """What the numbers depend on besides the rows."""
  made = [
    json.loads(path.read_text(encoding="utf-8"))
    for path in workdir.glob("*/versions.json")
  ]
  return {
    "name": settings.name,
    "products asked": len(report.ranks_PM),
    "products of training": len(dataset.items),
    "tags": len(dataset.tags) + len(dataset.new_tags),
    "seeds": list(seeds),
    "data fingerprint": dataset.fingerprint,
    "bootstrap": report.passport["bootstrap"],
    "commits": sorted({versions["commit"] for versions in made}),
  }
