"""What was compiled, as tables for the console and as Markdown."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from tagrec_jax.run.aot.roofline import ASSUMPTIONS

GIB = 2**30

_ABOUT = (
  "Compiled ahead of time by the compiler of the target, never run. Times are"
  " modelled."
)

# As in '... HLO temporaries (31.32G) exceeds available HBM (31.25G)', where all
# is counted, or 'Used 42.44G of 31.25G hbm'.
_ASKED = re.compile(r"([\d.]+)G\)? (?:exceeds|of) [^\d]*([\d.]+)G")


@dataclasses.dataclass(frozen=True)
class Rows:
  """A table that does not know yet how it is drawn.

  Attributes:
    title: above it.
    names: of its columns; the first is text, the others are numbers.
    cells: one list for each row.
  """

  title: str
  names: Sequence[str]
  cells: Sequence[Sequence[str]]


def gathered(
  config: str,
  topology: str,
  programs: Sequence[Mapping[str, Any]],
  made: Mapping[str, str],
) -> dict[str, Any]:
  """What all programs of a config told; parameters, which they share, once.

  Args:
    made: 'command', 'date', and versions: 'commit', 'jax', 'libtpu', each ''
      where nothing is known of it.
  """
  told = [p["parameters"] for p in programs if "parameters" in p]
  return {
    "config": config,
    "topology": topology,
    "made": dict(made),
    "assumptions": list(ASSUMPTIONS),
    "parameters": told[0] if told else [],
    "programs": [
      {key: value for key, value in program.items() if key != "parameters"}
      for program in programs
    ],
  }


def tables(about: Mapping[str, Any]) -> list[Table]:
  """For the console."""
  drawn = []
  for rows in _all(about):
    table = Table(title=rows.title)
    for number, name in enumerate(rows.names):
      table.add_column(
        name, justify="right" if number else "left", overflow="fold"
      )
    for cells in rows.cells:
      table.add_row(*cells)
    drawn.append(table)
  return drawn


def markdown(about: Mapping[str, Any]) -> str:
  """The same for a file, with what it depends on."""
  first = _first(about)
  text = [
    f"# {about['config']} on {about['topology']}",
    "",
    _ABOUT,
    "",
    *_made(about["made"]),
  ]
  if first:
    mesh = " x ".join(f"{n} {s}" for n, s in first["mesh"].items())
    chip = first["chip"]
    text += [
      "",
      f"Devices: {mesh}, preset '{first['preset']}'.",
      f"Catalogue: {first['catalogue']}.",
      f"Chip: {chip['name']}, {chip['hbm'] / GIB:.0f} GiB ({chip['source']}).",
    ]
  for rows in _all(about):
    text += ["", *lines(rows)]
  text += ["", "## What the modelled times assume", ""]
  text += [f"- {assumption}." for assumption in ASSUMPTIONS]
  return "\n".join(text) + "\n"


def _made(made: Mapping[str, str]) -> list[str]:
  """How to make the report again."""
  versions = [
    f"{name} {made[name]}" for name in ("commit", "jax", "libtpu") if made[name]
  ]
  command = textwrap.wrap(
    made["command"], 76, break_long_words=False, break_on_hyphens=False
  )
  return [
    f"Made on {', '.join([made['date'], *versions])}:",
    "",
    "```bash",
    " \\\n  ".join(command),
    "```",
  ]


def lines(rows: Rows) -> list[str]:
  """A table in Markdown."""
  return [
    f"## {rows.title}",
    "",
    _line(rows.names),
    _line(["---", *["---:"] * (len(rows.names) - 1)]),
    *(_line(cells) for cells in rows.cells),
  ]


def span(model: Mapping[str, Any]) -> str:
  """Modelled milliseconds, from perfect overlap to none."""
  return f"{_ms(model['least'])} to {_ms(model['most'])}"


def fits(program: Mapping[str, Any]) -> str:
  """Whether a program fits into a chip, and by how much."""
  if "failed" in program:
    status, _, told = program["failed"].partition(": ")
    if status != "RESOURCE_EXHAUSTED":
      return program["failed"]
    if asked := _ASKED.search(told):
      wanted, had = float(asked[1]), float(asked[2])
      told = f"{wanted - had:.2f} GiB too much ({wanted} of {had} for programs)"
    return f"does not fit: {told}"
  free = program["chip"]["hbm"] - program["memory"]["peak"]
  if free < 0:
    return f"does not fit: {bytes_(-free)} too much"
  return f"fits: {bytes_(free)} free"


def bytes_(size: int | float) -> str:
  """A size in the unit that suits it."""
  for unit, name in ((GIB, "GiB"), (2**20, "MiB")):
    if size >= unit:
      return f"{size / unit:.2f} {name}"
  return f"{size / 2**10:.2f} KiB"


def _all(about: Mapping[str, Any]) -> Iterator[Rows]:
  programs = about["programs"]
  yield _memory(about, programs)
  compiled = [p for p in programs if "failed" not in p]
  if compiled:
    yield _work(compiled)
    yield _exchanges(compiled)
  if about["parameters"]:
    yield _parameters(about["parameters"])


def _first(about: Mapping[str, Any]) -> dict[str, Any] | None:
  """A program that came as far as being lowered."""
  return next((p for p in about["programs"] if "mesh" in p), None)


def _memory(about: Mapping[str, Any], programs: Sequence[Any]) -> Rows:
  parts = ("arguments", "temporaries", "peak")
  cells = []
  for program in programs:
    memory = program.get("memory", {})
    cells.append(
      [
        program["step"],
        *(bytes_(memory[part]) if memory else "" for part in parts),
        _padding(program),
        fits(program),
      ]
    )
  title = f"{about['config']} on {about['topology']}: memory of a device"
  return Rows(title, ["program", *parts, "padding", "of its HBM"], cells)


def _padding(program: Mapping[str, Any]) -> str:
  """What tiles add to the arguments."""
  if "padding" not in program or not program["padding"]["bytes"]:
    return ""
  padding = program["padding"]
  return f"{padding['padded'] / padding['bytes'] - 1:.1%}"


def _work(programs: Sequence[Any]) -> Rows:
  cells = []
  for program in programs:
    model, flops = program["modelled"], program["flops"]
    cells.append(
      [
        program["step"],
        _counts(flops["compiler"], flops["matmuls"]),
        bytes_(program["bytes_moved"]),
        *(_ms(model[part]) for part in ("compute", "memory", "exchange")),
        span(model),
        model["bound"],
      ]
    )
  names = ["program", "GFLOPs", "moved", "compute", "memory", "exchange"]
  title = (
    "Work of a device (GFLOPs: by the compiler / matmuls as traced), and"
    " modelled milliseconds"
  )
  return Rows(title, [*names, "together", "bound"], cells)


def _exchanges(programs: Sequence[Any]) -> Rows:
  cells = [
    [
      f"{program['step']}: {row['kind']}",
      row["axes"],
      f"{row['group']}",
      f"{row['times']:,}{'' if row['counted'] else ' or more'}",
      bytes_(row["bytes"]),
      bytes_(row["sent"]),
    ]
    for program in programs
    for row in program["collectives"]
  ]
  names = ["exchange", "mesh axes", "devices", "times", "results", "sent"]
  return Rows("Exchanges of a device in a call", names, cells)


def _parameters(rows: Sequence[Any]) -> Rows:
  cells = [
    [
      name if times == 1 else f"{times} x {name}",
      " x ".join(f"{n} {a or '-'}" for n, a in _named(row)) or "scalar",
      " x ".join(_split(part) for part in row["split"]) or "whole",
      " x ".join(str(n) for n in row["shape_on_device"]),
      bytes_(times * row["bytes_on_device"]),
    ]
    for name, row, times in _joined(rows)
  ]
  total = sum(row["size"] for row in rows)
  names = ["parameter", "shape", "split over", "on a device", "size"]
  return Rows(f"Parameters: {total:,} numbers", names, cells)


def _joined(rows: Sequence[Any]) -> list[tuple[str, Mapping[str, Any], int]]:
  """Rows that differ in numbers of their names only, and how many they are."""
  found: dict[str, tuple[str, Mapping[str, Any], int]] = {}
  for row in rows:
    name = re.sub(r"(?<=\.)\d+(?=\.)", "N", row["name"])
    key = f"{name} {row['shape']} {row['split']}"
    before = found.get(key)
    found[key] = (name, row, before[2] + 1) if before else (row["name"], row, 1)
  return list(found.values())


def _named(row: Mapping[str, Any]) -> Iterator[tuple[int, str | None]]:
  return zip(row["shape"], row["axes"], strict=True)


def _split(part: Any) -> str:
  if part is None:
    return "-"
  return part if isinstance(part, str) else "+".join(part)


def _line(cells: Sequence[str]) -> str:
  return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def _counts(compiler: float, traced: float) -> str:
  return f"{compiler / 1e9:,.1f} / {traced / 1e9:,.1f}"


def _ms(seconds: float) -> str:
  """Three digits are more than a model is good for."""
  return f"{seconds * 1e3:,.{0 if seconds >= 0.1 else 2}f}"
