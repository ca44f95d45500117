"""Results as tables, pictures and one JSON file."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import platform
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from experiments.benchmarks.contest import Score
from experiments.benchmarks.result import Plot, Result, Target
from tagrec_jax.core import files
from tagrec_jax.core.errors import UserError
from tagrec_jax.training.run_folder import versions

GB = 1e9


def conditions() -> dict[str, Any]:
  """What the numbers depend on besides the part itself."""
  return {
    "versions": versions(),
    "cpu": _cpu(),
    "cpus": os.cpu_count(),
    "platform": platform.platform(),
    # Others' work; a contestant of two threads alone makes up to 2.
    "load_before": os.getloadavg()[0],
    "time": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
  }


def keep(path: pathlib.Path, name: str, result: Result, where: Any) -> None:
  """Puts one part into the file; those that are there already stay.

  Raises:
    UserError: if the file is there and is something else.
  """
  parts: dict[str, Any] = {}
  if path.exists():
    try:
      parts = json.loads(path.read_text(encoding="utf-8"))["parts"]
    except (ValueError, KeyError, TypeError) as error:
      raise UserError(
        str(path), "not readable", "results of this command", "remove it"
      ) from error
  plain = dataclasses.asdict(result)
  for target, told in zip(plain["targets"], result.targets, strict=True):
    target["met"] = told.met
  parts[name] = _finite({"measured": where, **plain})
  files.write_json(path, {"parts": parts})


def show(console: Console, result: Result) -> None:
  """The tables of one part."""
  for scores in () if result.floors else result.groups:
    console.print(_scores(result, scores))
  for plot in result.plots:
    console.print(_plot(result, plot))
  if result.floors:
    console.print(_floors(result))
  if result.targets:
    show_targets(console, result.targets)


def show_targets(console: Console, targets: Sequence[Target]) -> None:
  """What was promised, what was found."""
  console.print(_targets(targets))


def draw(path: pathlib.Path, result: Result) -> None:
  """The curves of a part in one picture, or its bars if it has no curves."""
  # No pyplot: its global state is not ours to change.
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  groups = () if result.plots else result.groups
  count = len(groups) + len(result.plots)
  figure = Figure(figsize=(7, 1 + 3 * count), layout="constrained")
  figure.suptitle(result.title)
  places = iter(figure.subplots(count, squeeze=False)[:, 0])
  for scores in groups:
    _draw_scores(next(places), scores)
  for plot in result.plots:
    _draw_plot(next(places), plot)
  FigureCanvasAgg(figure).print_png(str(path))


def _scores(result: Result, scores: Any) -> Table:
  table = Table(
    title=result.title,
    caption="ratio: median over the rounds of the speed over that of the first"
    " row (lowest to highest); memory: the most that was resident in the whole"
    " process",
  )
  table.add_column("")
  for name in (result.unit, "ratio", "", "memory, GB", "set up, s"):
    table.add_column(name, justify="right")
  for score in scores:
    table.add_row(
      score.name,
      f"{score.rate:,.0f}",
      f"{score.ratio:.2f}",
      f"{score.lowest:.2f} to {score.highest:.2f}",
      f"{score.peak_bytes / GB:.2f}",
      f"{score.setup:.1f}",
    )
  return table


def _plot(result: Result, plot: Plot) -> Table:
  table = Table(title=f"{result.title}: {plot.y}")
  table.add_column(plot.x, justify="right")
  for curve in plot.curves:
    table.add_column(curve.name, justify="right")
  for x in sorted({x for curve in plot.curves for x in curve.x}):
    at = [dict(zip(c.x, c.y, strict=True)).get(x) for c in plot.curves]
    cells = ["" if y is None else f"{y:,.4g}" for y in at]
    table.add_row(f"{x:,.0f}", *cells)
  return table


def _floors(result: Result) -> Table:
  table = Table("", title=result.title)
  for name in ("ms", "floor, ms", "ms / floor"):
    table.add_column(name, justify="right")
  for floor in result.floors:
    ratio = floor.found / floor.least
    numbers = f"{floor.found:.1f}", f"{floor.least:.1f}", f"{ratio:.1f}"
    table.add_row(floor.piece, *numbers)
  return table


def _targets(targets: Any) -> Table:
  table = Table("target", "found", "wanted", "")
  for target in targets:
    spread = (
      f" ({target.lowest:.2f} to {target.highest:.2f})"
      if target.lowest == target.lowest
      else ""
    )
    table.add_row(
      target.what,
      f"{target.found:.2f}{spread}",
      _limit(target),
      "met" if target.met else "NOT MET",
    )
  return table


def _limit(target: Target) -> str:
  return f"{'at most' if target.at_most else 'at least'} {target.wanted:g}"


def _draw_scores(axes: Any, scores: Any) -> None:
  rows: list[Score] = list(reversed(scores))
  ratios = [row.ratio for row in rows]
  spread = [
    [row.ratio - row.lowest for row in rows],
    [row.highest - row.ratio for row in rows],
  ]
  bars = axes.barh([row.name for row in rows], ratios, xerr=spread)
  axes.bar_label(bars, [f" {ratio:.2f}" for ratio in ratios], padding=4)
  axes.set_xlabel(f"speed, {rows[-1].name} = 1")
  _tidy(axes)


def _draw_plot(axes: Any, plot: Plot) -> None:
  for curve in plot.curves:
    axes.loglog(curve.x, curve.y, marker="o", label=curve.name)
  axes.set_xlabel(plot.x)
  axes.set_ylabel(plot.y)
  axes.legend()
  axes.grid(visible=True, alpha=0.3)
  _tidy(axes)


def _tidy(axes: Any) -> None:
  for side in ("top", "right"):
    axes.spines[side].set_visible(False)


def _cpu() -> str:
  """The processor's name; the platform's word for it where Linux has none."""
  try:
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
  except OSError:
    return platform.processor()
  names = [line.split(":", 1)[1] for line in lines if "model name" in line]
  return names[0].strip() if names else platform.processor()


def _finite(value: Any) -> Any:
  """The same with null for what JSON has no number for."""
  if isinstance(value, dict):
    return {str(key): _finite(part) for key, part in value.items()}
  if isinstance(value, list | tuple):
    return [_finite(part) for part in value]
  if isinstance(value, float) and value - value != 0:
    return None
  return value
