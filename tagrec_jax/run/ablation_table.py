"""An ablation as JSON, as tables in Markdown, and as a picture."""

from __future__ import annotations

import dataclasses
import pathlib

from tagrec_jax.core import files
from tagrec_jax.evaluation.paired import TAG_MEASURES
from tagrec_jax.run.ablation import Ablation, Row

_DRAWN = ("P@5", "PSP@5")
_GAPS = (
  "The difference to the row beside it, with the 95 % interval of pairs; bold"
  " where that has not 0 in it:"
)


def keep(folder: pathlib.Path, found: Ablation) -> None:
  """Writes ablation.json, ablation.md and ablation.png."""
  files.write_json(folder / "ablation.json", dataclasses.asdict(found))
  (folder / "ablation.md").write_text(markdown(found), encoding="utf-8")
  draw(folder / "ablation.png", found)


def markdown(found: Ablation) -> str:
  """What each row reaches, then what it adds to the one it is beside."""
  told = found.conditions
  seeds = ", ".join(map(str, told["seeds"]))
  commits = ", ".join(commit[:10] for commit in told["commits"])
  about = (
    f"{told['products asked']:,} products of test, of groups that training"
    f" never saw, {told['tags']:,} tags; {told['products of training']:,}"
    f" products of training. {told['bootstrap']}; training with seeds {seeds};"
    f" commit {commits or 'unknown'}."
  )
  values = [["read", *TAG_MEASURES]]
  gaps = [["row", "beside", *TAG_MEASURES]]
  for row in found.rows:
    values.append([row.label, *(_value(row, name) for name in TAG_MEASURES)])
    if row.gaps:
      cells = [_gap(row, name) for name in TAG_MEASURES]
      gaps.append([row.label, row.beside, *cells])
  return "\n".join(
    [
      f"# {told['name']}: what each modality adds",
      "",
      about,
      "",
      *_table(values, texts=1),
      "",
      _GAPS,
      "",
      *_table(gaps, texts=2),
      "",
    ]
  )


def draw(path: pathlib.Path, found: Ablation) -> None:
  """P@5 and PSP@5 of every row with their intervals, the first at the top."""
  # No pyplot: its global state is not ours to change.
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  rows = list(reversed(found.rows))
  figure = Figure(figsize=(9, 1.5 + 0.35 * len(rows)), layout="constrained")
  figure.suptitle(f"{found.conditions['name']}, test")
  places = range(len(rows))
  for axes, name in zip(
    figure.subplots(1, len(_DRAWN), sharey=True), _DRAWN, strict=True
  ):
    for place, row in zip(places, rows, strict=True):
      low, high = row.intervals[name]
      color = "C0" if row.gaps else "grey"
      axes.plot([low, high], [place, place], color=color, linewidth=2)
      axes.plot(row.values[name], place, marker="o", color=color)
    axes.set_yticks(places, [row.label for row in rows])
    axes.set_xlabel(f"{name}, 95 % interval")
    axes.grid(visible=True, axis="x", alpha=0.3)
    for side in ("top", "right"):
      axes.spines[side].set_visible(False)
  FigureCanvasAgg(figure).print_png(str(path))


def _value(row: Row, name: str) -> str:
  low, high = row.intervals[name]
  return f"{_number(row.values[name])} [{_number(low)}, {_number(high)}]"


def _gap(row: Row, name: str) -> str:
  found, low, high = row.gaps[name]
  cell = f"{found:+.4f} [{low:+.4f}, {high:+.4f}]"
  return f"**{cell}**" if low > 0 or high < 0 else cell


def _number(value: float) -> str:
  """Four decimals as in papers: .0531."""
  return f"{value:.4f}".removeprefix("0")


def _table(rows: list[list[str]], texts: int) -> list[str]:
  """Lines of Markdown; the first row is the header.

  Args:
    texts: columns that are no numbers.
  """
  header, *others = rows
  align = ["---"] * texts + ["---:"] * (len(header) - texts)
  return [f"| {' | '.join(row)} |" for row in (header, align, *others)]
