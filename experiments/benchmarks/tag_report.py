"""The contest of taggers as JSON, as a table in Markdown, and as a picture."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

from experiments.benchmarks.report import GB
from experiments.benchmarks.tags import OURS, SPLITS, TagResult
from tagrec_jax.core import files
from tagrec_jax.evaluation.paired import TAG_MEASURES

_DRAWN = ("P@5", "PSP@5")


def keep(folder: pathlib.Path, result: TagResult, where: Any) -> None:
  """Writes tags.json, tags.md and tags.png.

  Args:
    where: what the numbers depend on besides, see `report.conditions`.
  """
  plain = dataclasses.asdict(result)
  for target, told in zip(plain["targets"], result.targets, strict=True):
    target["met"] = told.met
    for end in ("lowest", "highest"):  # JSON has no NaN
      target[end] = None if target[end] != target[end] else target[end]
  files.write_json(folder / "tags.json", {"measured": where, **plain})
  (folder / "tags.md").write_text(markdown(result, where), encoding="utf-8")
  draw(folder / "tags.png", result)


def markdown(result: TagResult, where: Any) -> str:
  """A table for each split, and what ours has above the best peer."""
  told = result.conditions
  about = (
    f"{told['products of training']:,} products of training,"
    f" {told['tags']:,} tags; {told['valid products']:,} products asked on"
    f" valid, {told['test products']:,} on test. Input 'all': the text and"
    f" {', '.join(told['other fields told to peers']) or 'nothing else'}."
    f" Propensities: {told['propensities']}. {where['cpu']}, {where['cpus']}"
    f" cores, load before {where['load_before']:.1f}, {where['time']}, commit"
    f" {where['versions']['commit'][:10]}."
  )
  lines = [f"# {result.title}", "", about]
  for split in reversed(SPLITS):
    head = ["model", "input", *TAG_MEASURES, "training, s", "memory, GB"]
    lines += ["", f"## {split}", "", _line(head), _line(["---"] * len(head))]
    lines += [
      _line(
        [
          f"**{row.model}**" if row.model == OURS else row.model,
          row.inputs,
          *(f"{row.values[split][name]:.4f}" for name in TAG_MEASURES),
          f"{row.training_seconds:.0f}",
          f"{row.peak_bytes / GB:.1f}",
        ]
      )
      for row in result.rows
    ]
    gaps = [gap for gap in result.gaps if gap.split == split]
    if gaps:
      lines += ["", f"{OURS} less the best peer, with 95 % intervals:", ""]
    lines += [
      f"- {gap.measure}: {gap.found:+.4f} ({gap.low:+.4f} to {gap.high:+.4f})"
      f" against {gap.peer}"
      for gap in gaps
    ]
  return "\n".join(lines) + "\n"


def draw(path: pathlib.Path, result: TagResult) -> None:
  """P@5 and PSP@5 on test as bars, the best at the top."""
  # No pyplot: its global state is not ours to change.
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  rows = list(reversed(result.rows))
  figure = Figure(figsize=(9, 1.5 + 0.3 * len(rows)), layout="constrained")
  figure.suptitle(f"{result.title}, test")
  for axes, name in zip(
    figure.subplots(1, len(_DRAWN), sharey=True), _DRAWN, strict=True
  ):
    values = [row.values["test"][name] for row in rows]
    colors = ["C1" if row.model == OURS else "C0" for row in rows]
    bars = axes.barh([row.name for row in rows], values, color=colors)
    axes.bar_label(bars, [f" {value:.3f}" for value in values])
    axes.set_xlabel(name)
    # From zero, small differences could not be seen.
    axes.set_xlim(max(0.0, 2 * min(values) - max(values)), max(values) * 1.05)
    for side in ("top", "right"):
      axes.spines[side].set_visible(False)
  FigureCanvasAgg(figure).print_png(str(path))


def _line(cells: list[str]) -> str:
  return f"| {' | '.join(cells)} |"
