"""What the text of a compiled program tells: collectives, loops, padding."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

KINDS = (
  "all-gather",
  "all-reduce",
  "reduce-scatter",
  "all-to-all",
  "collective-permute",
  "collective-broadcast",
)

_BITS = {"pred": 8, "bf16": 16, "c64": 64, "c128": 128}
_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_OP = re.compile(
  r"^\s+(?:ROOT )?%[\w.\-]+ = (?P<type>\(.*?\)|\S+) (?P<op>[a-z][\w\-]*)\("
)
_CALLED = re.compile(
  r"\b(body|condition|calls|to_apply|true_computation|false_computation)="
  r"%?([\w.\-]+)"
)
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_LIMIT = re.compile(r" = s32\[\]\S* constant\((\d+)\)")
ARRAY = re.compile(
  r"(?P<dtype>[a-z]+\d*\w*)\[(?P<shape>[\d,]*)\]"
  r"(?:\{(?P<order>[\d,]*)(?::T\((?P<tile>[\d,]+)\))?[^}]*\})?"
)


@dataclasses.dataclass(frozen=True)
class Collective:
  """One exchange between devices.

  Attributes:
    kind: of `KINDS`.
    axes: the mesh axes along which devices talk, such as 'data+fsdp'.
    group: devices that talk with one another.
    bytes: of the result on one device, each time.
    times: how often it runs in a call of the program.
    counted: whether the turns of every loop around it are known; where they are
      not, a loop counts as one turn.
  """

  kind: str
  axes: str
  group: int
  bytes: int
  times: int
  counted: bool = True

  @property
  def sent(self) -> float:
    """Bytes that one device sends, if it is done by a ring."""
    others = (self.group - 1) / self.group
    factor = {
      "all-gather": others,
      "all-reduce": 2 * others,
      "reduce-scatter": self.group - 1.0,
      "all-to-all": others,
    }.get(self.kind, 1.0)
    return self.bytes * factor * self.times


def collectives(text: str, mesh: Mapping[str, int]) -> list[Collective]:
  """Every exchange of a program, those of one device alone left out.

  An exchange that goes on beside other work stands several times in the text,
  under one channel: it is counted once.

  Args:
    text: of `Compiled.as_text()`.
    mesh: axis → size, in the order of the devices.
  """
  bodies, entry = computations(text)
  turns = _turns(bodies, entry)
  found: dict[str, Collective] = {}
  for name, (times, counted) in turns.items():
    for number, line in enumerate(bodies[name]):
      kind, size = _exchange(line)
      if not kind:
        continue
      groups = _groups(line, math.prod(mesh.values()))
      if not groups or max(len(g) for g in groups) < 2:
        continue
      here = Collective(
        kind, _axes(groups, mesh), len(groups[0]), size, times, counted
      )
      if kind == "collective-permute":
        here = dataclasses.replace(here, group=2)
      channel = re.search(r"channel_id=(\d+)", line)
      # All that `shard_map` asks for has one channel, whatever it is.
      mapped = re.search(r'op_name="[^"]*shard_map/', line)
      own = f"{kind} {channel[1]}" if channel and not mapped else ""
      key = own or f"{name} {number}"
      if key not in found or found[key].times < times:
        found[key] = here
  return list(found.values())


def padding(text: str) -> tuple[int, int]:
  """(bytes of the arguments, bytes they take in their tiles) on one device."""
  layouts = re.search(r"entry_computation_layout=\{\((.*?)\)->", text)
  arrays = list(ARRAY.finditer(layouts[1])) if layouts else []
  return (
    sum(_bytes(array) for array in arrays),
    sum(padded_bytes(array) for array in arrays),
  )


def computations(text: str) -> tuple[dict[str, list[str]], str]:
  """Name → the lines of its operations; and the name of the first to run."""
  bodies: dict[str, list[str]] = {}
  entry, lines = "", None
  for line in text.splitlines():
    if header := _HEADER.match(line):
      lines = bodies.setdefault(header[2], [])
      entry = header[2] if header[1] else entry
    elif line.startswith("}"):
      lines = None
    elif lines is not None:
      lines.append(line)
  return bodies, entry


def _turns(
  bodies: Mapping[str, Sequence[str]], entry: str
) -> dict[str, tuple[int, bool]]:
  """Computation → how often it runs, and whether that is certain."""
  turns: dict[str, tuple[int, bool]] = {}

  def visit(name: str, times: int, counted: bool) -> None:
    known, _ = turns.get(name, (0, True))
    if name not in bodies or known >= times:
      return
    turns[name] = times, counted
    for line in bodies[name]:
      inside, sure = times, counted
      if " while(" in line:
        told = trips(line, bodies)
        inside, sure = times * (told or 1), counted and told is not None
      for inner in [*(n for _, n in called(line)), *branches(line)]:
        visit(inner, inside, sure)

  visit(entry, 1, True)
  return turns


def trips(line: str, bodies: Mapping[str, Sequence[str]]) -> int | None:
  """Turns of a loop: told, or the limit that its one comparison counts up to.

  Loops of `scan` begin at 0 and go up by 1.
  """
  if told := _TRIPS.search(line):
    return int(told[1])
  condition = re.search(r"condition=%?([\w.\-]+)", line)
  lines = bodies.get(condition[1], ()) if condition else ()
  limits = [int(found[1]) for x in lines if (found := _LIMIT.search(x))]
  compared = [x for x in lines if " compare(" in x and "direction=LT" in x]
  return limits[0] if len(limits) == len(compared) == 1 else None


def called(line: str) -> Iterator[tuple[str, str]]:
  """(as what, name) of each computation that a line calls."""
  for found in _CALLED.finditer(line):
    yield found[1], found[2]


def branches(line: str) -> list[str]:
  """The computations that a line chooses from."""
  if listed := _BRANCHES.search(line):
    return re.findall(r"%?([\w.\-]+)", listed[1])
  return [name for kind, name in called(line) if "_computation" in kind]


def _exchange(line: str) -> tuple[str, int]:
  """(kind, bytes of the result) of a line; ('', 0) if it is none."""
  operation = _OP.match(line)
  if not operation:
    return "", 0
  name = operation["op"].removesuffix("-start")
  if name not in KINDS:
    return "", 0
  sizes = [_bytes(array) for array in ARRAY.finditer(operation["type"])]
  if name != operation["op"] and name != "all-reduce" and len(sizes) > 1:
    # What is started gives back its operand, its result and perhaps flags.
    return name, max(sizes) if name == "all-gather" else sizes[1]
  return name, sum(sizes)


def _groups(line: str, devices: int) -> list[list[int]]:
  """The devices that talk with one another, in any of the ways to write it."""
  if pairs := re.search(r"source_target_pairs=\{(\{.*?\})\}", line):
    both = [_numbers(pair) for pair in re.findall(r"\{([\d,]+)\}", pairs[1])]
    return [pair for pair in both if pair[0] != pair[1]]
  if listed := re.search(r"replica_groups=\{(\{.*?\})\}", line):
    return [_numbers(g) for g in re.findall(r"\{([\d,]+)\}", listed[1])]
  if named := re.search(r"replica_groups=mesh\[(.*?)\]", line):
    return _of_named_mesh(named[1], line[named.end() :], devices)
  tiled = re.search(
    r"replica_groups=\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?", line
  )
  if tiled:
    ids = _order(tiled[2], tiled[3])
    return ids.reshape(_numbers(tiled[1])).tolist()
  return [list(range(devices))]


def _of_named_mesh(axes: str, rest: str, devices: int) -> list[list[int]]:
  """Groups written as axes of a mesh: mesh['a'=4,'b'=2] {'a'}."""
  sizes = {n: int(s) for n, s in re.findall(r"'([^']+)'=(\d+)", axes)}
  order = re.match(r", device_ids=\(\[([\d,]+)\](?:T\(([\d,]+)\))?\)", rest)
  ids = _order(order[1], order[2]) if order else np.arange(devices)
  grid = ids.reshape(list(sizes.values()))
  told = re.search(r"\{([^}]*)\}", rest)
  talking = re.findall(r"'([^']+)'", told[1]) if told else []
  last = [n for n, name in enumerate(sizes) if name in talking]
  first = [n for n in range(len(sizes)) if n not in last]
  size = math.prod(grid.shape[n] for n in last)
  return grid.transpose(first + last).reshape(-1, size).tolist()


def _order(shape: str, moved: str | None) -> np.ndarray:
  """Device numbers counted through a grid, its axes then moved."""
  sizes = _numbers(shape)
  grid = np.arange(math.prod(sizes)).reshape(sizes)
  return (grid.transpose(_numbers(moved)) if moved else grid).reshape(-1)


def _axes(groups: Sequence[Sequence[int]], mesh: Mapping[str, int]) -> str:
  """The mesh axes along which the members of a group differ."""
  shape = tuple(mesh.values())
  differ = np.zeros(len(shape), bool)
  for group in groups:
    places = np.stack(np.unravel_index(np.asarray(group), shape))
    differ |= (places != places[:, :1]).any(axis=1)
  return "+".join(n for n, d in zip(mesh, differ, strict=True) if d)


def _numbers(text: str) -> list[int]:
  return [int(part) for part in text.split(",") if part]


def _bits(dtype: str) -> int:
  if dtype in _BITS:
    return _BITS[dtype]
  width = re.search(r"\d+", dtype)
  return int(width[0]) if width else 0  # tokens take no memory


def _bytes(array: re.Match[str]) -> int:
  size = math.prod(_numbers(array["shape"]))
  return -(-size * _bits(array["dtype"]) // 8)


def padded_bytes(array: re.Match[str]) -> int:
  """As `_bytes`, each tiled dimension filled up to whole tiles."""
  shape = _numbers(array["shape"])
  tile = _numbers(array["tile"] or "")
  # The order names dimensions from the fastest; so does the reversed tile.
  order = _numbers(array["order"] or "")
  for dimension, part in zip(order, reversed(tile), strict=False):
    shape[dimension] += -shape[dimension] % part
  return -(-math.prod(shape) * _bits(array["dtype"]) // 8)
