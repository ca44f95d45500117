"""Bytes from and to memory that a compiled program moves, loops by their turns.

The compiler's own count takes the body of a loop once, takes a whole table for
each look into it, and does not say what stays in fast memory. Here each
operation reads its operands and writes its results, as far as they lie in main
memory; of a table that is looked into or changed in places, only these.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence

from tagrec_jax.run.aot import hlo

_OPERATION = re.compile(
  r"^\s+(?P<root>ROOT )?%(?P<name>[\w.\-]+) = (?P<type>\(.*?\)|\S+)"
  r" (?P<op>[a-z][\w\-]*)\((?P<operands>[^)]*)\)(?P<rest>.*)$"
)
_NAME = re.compile(r"%([\w.\-]+)")
_ESTIMATE = re.compile(r'"bytes_accessed":\s*"?(\d+)')
_FAST = re.compile(r"S\([1-9]\d*\)")
_NUMBER = re.compile(r"parameter\((\d+)\)")

# They name what others have moved or will move.
_FREE = {
  "parameter",
  "constant",
  "tuple",
  "get-tuple-element",
  "bitcast",
  "after-all",
  "partition-id",
  "replica-id",
  "opt-barrier",
  "domain",
}
_VIEWS = {"bitcast", "reshape", "get-tuple-element", "copy", "transpose"}
_LOOKS = {"dynamic-slice", "gather", "slice"}
_PLACES = {"dynamic-update-slice": 1, "scatter": 2}
"""Operation → which of its operands is what it puts into the first one."""


@dataclasses.dataclass(frozen=True)
class _Operation:
  name: str
  kind: str
  type: str
  operands: Sequence[str]
  rest: str
  root: bool
  line: str


def moved(text: str) -> float:
  """Bytes of one device in a call of the program.

  A loop whose turns are not known counts as one turn; of branches, the dearest.

  Args:
    text: of `Compiled.as_text()`.
  """
  return _Program(text).of(None)


class _Program:
  def __init__(self, text: str):
    self._lines, self._entry = hlo.computations(text)
    self.of = functools.cache(self._of)
    self.body = functools.cache(self._body)
    self.flat = functools.cache(self._flat)

  def _body(self, name: str) -> dict[str, _Operation]:
    found = {}
    for line in self._lines.get(name, ()):
      if told := _OPERATION.match(line):
        found[told["name"]] = _Operation(
          told["name"],
          told["op"],
          told["type"],
          _NAME.findall(told["operands"]),
          told["rest"],
          bool(told["root"]),
          line,
        )
    return found

  def _flat(self, name: str) -> dict[str, _Operation]:
    """Of operations that run as one, those of fusions inside of them too."""
    found: dict[str, _Operation] = {}
    for o in self.body(name).values():
      found[o.name] = o
      if o.kind != "fusion":
        continue
      inside = self.flat(dict(hlo.called(o.line))["calls"])
      (root,) = (x for x in inside.values() if x.root)
      if root.kind == "tuple":
        continue
      for x in inside.values():
        kind, operands = x.kind, [f"{o.name}/{n}" for n in x.operands]
        if number := _NUMBER.search(x.line):
          kind, operands = "bitcast", [o.operands[int(number[1])]]
        found[f"{o.name}/{x.name}"] = dataclasses.replace(
          x,
          name=f"{o.name}/{x.name}",
          kind=kind,
          operands=operands,
          root=False,
        )
      found[o.name] = dataclasses.replace(
        o, kind="bitcast", operands=[f"{o.name}/{root.name}"]
      )
    return found

  def _of(self, name: str | None) -> float:
    """Of a computation whose operations run one by one."""
    body = self.body(name or self._entry)
    return sum((self._cost(o, body) for o in body.values()), start=0.0)

  def _cost(self, o: _Operation, body: Mapping[str, _Operation]) -> float:
    if o.kind in _FREE or o.kind.endswith("-done"):
      return 0.0
    called = dict(hlo.called(o.line))
    if o.kind == "while":
      turns = hlo.trips(o.line, self._lines) or 1
      return turns * self.of(called["body"])
    if o.kind == "conditional":
      return max((self.of(name) for name in hlo.branches(o.line)), default=0.0)
    if o.kind == "call":
      return self.of(called["to_apply"])
    if o.kind == "async-start":
      return self.of(called["calls"])
    if o.kind == "copy-start":
      return float(_bytes(o.type))
    if estimate := _ESTIMATE.search(o.rest):
      return float(estimate[1])
    if o.kind == "custom-call" and not o.operands:
      return 0.0
    operands = [_bytes(body[n].type) if n in body else 0 for n in o.operands]
    if o.kind == "fusion":
      return float(self._fused(o, operands, self.flat(called["calls"])))
    return float(_single(o, operands))

  def _fused(
    self,
    o: _Operation,
    operands: Sequence[int],
    body: Mapping[str, _Operation],
  ) -> int:
    """Of operations that run as one: what goes in and what comes out."""
    users: dict[str, list[_Operation]] = {name: [] for name in body}
    for inner in body.values():
      for operand in inner.operands:
        users.get(operand, []).append(inner)
    total = 0
    for inner in body.values():
      if inner.kind == "parameter":
        number = _NUMBER.search(inner.line)
        size = operands[int(number[1])] if number else 0
        total += min(size, _read(inner, users, body)) if size else 0
    results = [inner for inner in body.values() if inner.root]
    if results and results[0].kind == "tuple":
      results = [body[name] for name in results[0].operands if name in body]
    written = [(_bytes(x.type), _source(x, body)) for x in results]
    places = sum(
      _full(body[source.operands[_PLACES[source.kind]]].type) - size
      for size, source in written
      if source.kind in _PLACES and size
    )
    return total + max(0, _bytes(o.type) + places)


def _read(
  value: _Operation,
  users: Mapping[str, Sequence[_Operation]],
  body: Mapping[str, _Operation],
) -> int:
  """Bytes that a fused computation reads of one of its values."""
  total = 0
  for user in users[value.name]:
    first = user.operands[0] == value.name
    if user.kind in _VIEWS:
      # What is only turned or copied is read as it is written.
      total += _full(user.type) if user.root else _read(user, users, body)
    elif user.kind in _LOOKS and first:
      total += _full(user.type)
    elif user.kind in _PLACES and first:
      # The rest of it stays where it is; what is added to is read.
      put = body[user.operands[_PLACES[user.kind]]]
      total += _full(put.type) if user.kind == "scatter" else 0
    else:
      return _full(value.type)
  return min(total, _full(value.type))


def _source(o: _Operation, body: Mapping[str, _Operation]) -> _Operation:
  """What a result was made by, looking through other views of it."""
  while o.kind in _VIEWS and o.operands and o.operands[0] in body:
    o = body[o.operands[0]]
  return o


def _single(o: _Operation, operands: Sequence[int]) -> int:
  """Of an operation that runs alone."""
  result = _bytes(o.type)
  if o.kind in _LOOKS and operands:
    return 2 * result + sum(operands[1:])
  if o.kind in _PLACES and len(operands) > _PLACES[o.kind]:
    return 2 * operands[_PLACES[o.kind]] + sum(operands[2:])
  return result + sum(operands)


def _bytes(type_: str) -> int:
  """Of arrays that lie in main memory."""
  return sum(
    hlo.padded_bytes(array)
    for array in hlo.ARRAY.finditer(type_)
    if not _FAST.search(array[0])
  )


def _full(type_: str) -> int:
  """Of arrays wherever they lie: inside a fusion nothing is said of that."""
  return sum(hlo.padded_bytes(array) for array in hlo.ARRAY.finditer(type_))
