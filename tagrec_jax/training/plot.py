"""The learning curves of a run as a picture."""

from __future__ import annotations

import pathlib
from typing import Any

from tagrec_jax.core.errors import UserError
from tagrec_jax.training.writers import read_rows


def plot_curves(
  metrics: pathlib.Path, picture: pathlib.Path, watch: str
) -> None:
  """Training loss and the watched metric against steps, as a PNG.

  Args:
    metrics: written by `JsonLines`.
    watch: name of the metric; its rows are called 'valid/<name>'.

  Raises:
    UserError: if there is nothing to draw.
  """
  # No pyplot: its global state is not ours to change.
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  rows = read_rows(metrics)
  if not rows:
    raise UserError(str(metrics), "no metrics", "at least one row", "train")
  curves = {"loss": "training loss", f"valid/{watch}": watch}
  figure = Figure(figsize=(7, 6), layout="constrained")
  places = figure.subplots(len(curves), sharex=True)
  for axes, (name, title) in zip(places, curves.items(), strict=True):
    points = [(r["step"], r[name]) for r in rows if r.get(name) is not None]
    _curve(axes, points, title)
  places[-1].set_xlabel("step")
  places[-1].xaxis.get_major_locator().set_params(integer=True)
  FigureCanvasAgg(figure).print_png(str(picture))


def _curve(axes: Any, points: list[tuple[int, float]], title: str) -> None:
  steps, values = zip(*points, strict=True) if points else ((), ())
  axes.plot(steps, values, marker="o" if len(points) < 50 else None)
  axes.set_ylabel(title)
  axes.grid(visible=True, alpha=0.3)
  for side in ("top", "right"):
    axes.spines[side].set_visible(False)
