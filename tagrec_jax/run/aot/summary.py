"""What many compiled programs come to: one table a question."""

from __future__ import annotations

import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from tagrec_jax.core.errors import UserError
from tagrec_jax.run.aot import measured, report
from tagrec_jax.run.aot.chips import CHIPS
from tagrec_jax.run.aot.report import Rows
from tagrec_jax.run.aot.roofline import ASSUMPTIONS, Roofline
from tagrec_jax.sharding.rules import DATA_SIZED

WEAK = "weak"
"""Folder of reports in which batch and catalogue grow with the chips."""

_ABOUT = (
  "Made by `python -m experiments.compiled`: programs of"
  " `python -m experiments.compile_tpu`, compiled by the compiler of the target"
  " and never run. Times are modelled."
)


def write(folder: str) -> str:
  """Makes README.md of all reports in a folder, and gives back its text.

  Raises:
    UserError: if there is no report.
  """
  place = pathlib.Path(folder)
  family, weak = _read(place), _read(place / WEAK)
  on_cpu = place / measured.FILE
  if not (family or weak or on_cpu.exists()):
    raise UserError(
      "--folder",
      f"no report in '{folder}'",
      "files of `python -m experiments.compile_tpu`",
      "make some with --output=" + folder,
    )
  tables = []
  if family:
    tables.append(_family(family))
  if weak:
    tables += [_weak(weak), _exchanges(weak)]
  if on_cpu.exists():
    tables.append(_measured(json.loads(on_cpu.read_text(encoding="utf-8"))))
  lines = ["# Compiled for TPUs that are not here", "", _ABOUT]
  for rows in tables:
    lines += ["", *report.lines(rows)]
  lines += ["", "## What the modelled times assume", ""]
  lines += [f"- {assumption}." for assumption in ASSUMPTIONS]
  text = "\n".join(lines) + "\n"
  (place / "README.md").write_text(text, encoding="utf-8")
  return text


def _read(folder: pathlib.Path) -> list[dict[str, Any]]:
  """Reports, smaller networks and fewer devices first."""
  found = [
    json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(folder.glob("*.json"))
    if path.name != measured.FILE
  ]
  return sorted(found, key=lambda about: (_sizes(about)[0], _chips(about)))


def _train(about: Mapping[str, Any]) -> dict[str, Any]:
  return about["programs"][0]


def _chips(about: Mapping[str, Any]) -> int:
  return math.prod(_train(about).get("mesh", {"": 0}).values())


def _mesh(program: Mapping[str, Any]) -> str:
  sizes = program.get("mesh", {})
  return " x ".join(f"{n} {s}" for n, s in sizes.items() if s > 1)


def _sizes(about: Mapping[str, Any]) -> tuple[int, int]:
  """Numbers of the network, and of tables as long as the data makes them."""
  sizes = {True: 0, False: 0}
  for row in about["parameters"]:
    sizes[bool(DATA_SIZED & {*row["axes"]})] += row["size"]
  return sizes[False], sizes[True]


def _family(reports: Sequence[Mapping[str, Any]]) -> Rows:
  cells = []
  for about in reports:
    network, tables = _sizes(about)
    for program in about["programs"]:
      memory, model = program.get("memory"), program.get("modelled")
      if about.get("assumptions") != list(ASSUMPTIONS):
        model = None  # an older report, whose times mean something else
      link = f"{about['config']}-{about['topology'].replace(':', '-')}.md"
      catalogue = program.get("catalogue", "").removeprefix("made up: ")
      cells.append(
        [
          f"[{about['config']}]({link}), {program['step']}",
          about["topology"],
          f"{_chips(about)}",
          _mesh(program),
          _short(network),
          _short(tables),
          catalogue.partition(", at most")[0],
          report.bytes_(memory["peak"]) if memory else "",
          report.fits(program),
          report.span(model) if model else "",
          model["bound"] if model else "",
        ]
      )
  names = [
    "program",
    "slice",
    "chips",
    "mesh",
    "network",
    "tables",
    "catalogue",
  ]
  names += ["memory", "of a chip's", "modelled ms", "bound"]
  return Rows("Which model fits where", names, cells)


def _weak(reports: Sequence[Mapping[str, Any]]) -> Rows:
  """Efficiency: the time of the smallest mesh over that of each.

  Bytes from and to memory stay out of it: they grow with nothing, and would
  only hide what exchanges cost.
  """
  generations = [name for name in CHIPS if name != "v4"]

  def seconds(about: Mapping[str, Any], generation: str) -> float:
    chip, program = CHIPS[generation], _train(about)
    sent = sum(row["sent"] for row in program["collectives"])
    work = program["flops"]["matmuls"]
    return Roofline.of(chip, work, 0.0, sent).most

  cells = []
  for about in reports:
    program, chips = _train(about), _chips(about)
    batch, talks = program["batch"], program["collectives"]
    cells.append(
      [
        about["topology"],
        _mesh(program),
        program["catalogue"]
        .removeprefix("made up: ")
        .partition(", at most")[0],
        f"{batch['rows'] * batch['length'] // chips:,}",
        f"{program['flops']['matmuls'] / 1e9:,.0f}",
        f"{sum(row['times'] for row in talks):,}",
        report.bytes_(sum(row["sent"] for row in talks)),
        *(
          f"{seconds(about, name) * 1e3:,.1f}:"
          f" {seconds(reports[0], name) / seconds(about, name):.0%}"
          for name in generations
        ),
      ]
    )
  names = ["devices", "mesh", "catalogue", "positions each", "GFLOPs each"]
  names += ["exchanges", "sent by each"]
  title = (
    f"Weak scaling of {reports[0]['config']}: the load of a device stays;"
    " milliseconds of operations and exchanges, one after the other, at the"
    " rates of a chip, and efficiency"
  )
  return Rows(title, [*names, *generations], cells)


def _exchanges(reports: Sequence[Mapping[str, Any]]) -> Rows:
  """Bytes that a chip sends, by kind and axes, on every mesh."""
  sent: dict[str, dict[int, float]] = {}
  for about in reports:
    for row in _train(about)["collectives"]:
      found = sent.setdefault(f"{row['kind']} over {row['axes']}", {})
      found[_chips(about)] = row["sent"]
  meshes = [_chips(about) for about in reports]
  kinds = sorted(sent, key=lambda kind: -max(sent[kind].values()))
  cells = [
    [kind, *(report.bytes_(sent[kind].get(m, 0.0)) for m in meshes)]
    for kind in kinds
  ]
  names = ["exchange", *(f"{m} chips" for m in meshes)]
  return Rows("What a chip sends in a step of these", names, cells)


def _measured(found: Mapping[str, Any]) -> Rows:
  """What the model is worth: it should grow as a real step does."""
  steps = found["steps"]
  first = steps[0]
  cells = [
    [
      step["name"],
      f"{step['flops'] / 1e9:,.1f}",
      report.bytes_(step["bytes_moved"]),
      report.span(step),
      f"{step['measured'] * 1e3:,.0f}",
      f"{step['measured'] / step['most']:.2f}",
      f"{step['most'] / first['most']:.2f}",
      f"{step['measured'] / first['measured']:.2f}",
    ]
    for step in steps
  ]
  names = ["width x layers", "GFLOPs", "moved", "modelled ms", "measured ms"]
  names += ["measured / modelled", "modelled / first", "measured / first"]
  title = (
    f"Steps on one CPU ({found['about']}), modelled with its measured rates:"
    f" {found['flops'] / 1e9:,.0f} GFLOPs and {found['bytes'] / 1e9:,.1f} GB a"
    " second"
  )
  return Rows(title, names, cells)


def _short(number: int) -> str:
  """Such as 6.4 B."""
  for unit, name in ((10**9, "B"), (10**6, "M")):
    if number >= unit:
      return f"{number / unit:,.1f} {name}"
  return f"{number:,}"
