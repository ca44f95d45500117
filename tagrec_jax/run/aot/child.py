"""Compiles one program in a process of its own: a compiler may crash.

`python -m tagrec_jax.run.aot.child REQUEST RESULT`, two JSON files. The parent
sets the environment, which decides the devices before JAX starts.
"""

from __future__ import annotations

import json
import math
import pathlib
import sys
import time
from typing import Any

import jax
from jax.sharding import Mesh

from tagrec_jax import build
from tagrec_jax.core import files
from tagrec_jax.core.errors import UserError, one_line
from tagrec_jax.core.settings import Settings
from tagrec_jax.core.trees import named_leaves
from tagrec_jax.run.aot import flops, hlo, made_up, traffic
from tagrec_jax.run.aot.chips import Chip, chip_of
from tagrec_jax.run.aot.programs import Program, Programs
from tagrec_jax.run.aot.roofline import Roofline
from tagrec_jax.sharding.mesh import make_mesh


@one_line
def main() -> None:
  """Reads the request, compiles, writes what there is to tell."""
  request = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
  files.write_json(pathlib.Path(sys.argv[2]), examine(request))


def examine(request: dict[str, Any]) -> dict[str, Any]:
  """All there is to tell of one program.

  Args:
    request: 'settings', 'topology', 'step', and 'products', 'tags',
      'tags_each' of a made-up catalogue; products 0: of the config's data.

  Returns:
    'failed', one line, in the place of what only a compiled program tells.
  """
  settings = build.settings(request["settings"])
  chip = chip_of(request["topology"])
  found_devices = devices(request["topology"])
  build.check_devices(settings, found_devices)
  mesh = make_mesh(settings.sharding, found_devices)
  catalogue = _catalogue(settings, request)
  programs = Programs(settings, catalogue, mesh)
  found: dict[str, Any] = {
    "step": request["step"],
    "catalogue": catalogue.told,
    "mesh": dict(mesh.shape),
    "preset": settings.sharding.preset,
    "batch": {
      "rows": settings.pipeline.batch_rows,
      "length": settings.pipeline.row_length,
    },
    "chip": {"name": chip.name, "hbm": chip.hbm_bytes, "source": chip.source},
    "parameters": parameters(programs),
  }
  program = programs[request["step"]]
  began = time.perf_counter()
  try:
    compiled = program.lowered.compile()
  except jax.errors.JaxRuntimeError as error:
    # Too little memory is the compiler's finding, and no fault of the config.
    return found | {"failed": first_line(str(error))}
  found["compile_seconds"] = time.perf_counter() - began
  return found | measures(compiled, program, mesh, chip)


def devices(topology: str) -> list[Any]:
  """The devices of a topology, real or fake.

  Raises:
    UserError: if the compiler does not know it.
  """
  name, _, shape = topology.partition(":")
  if name == "cpu":
    return jax.devices("cpu")[: int(shape)]
  from jax.experimental import topologies

  try:
    return list(topologies.get_topology_desc(topology, "tpu").devices)
  except (RuntimeError, ValueError) as error:
    raise UserError(
      "--topology",
      f"'{topology}': {first_line(str(error))}",
      "a slice that Google offers",
      "try v5e:4x4, v6e:8x8 or v5p:4x4x4",
    ) from error


def _catalogue(
  settings: Settings, request: dict[str, Any]
) -> made_up.Catalogue:
  if request["products"]:
    return made_up.made_up(
      settings, request["products"], request["tags"], request["tags_each"]
    )
  asks_tags = "tags" in build.targets(settings)
  return made_up.of_data(build.dataset(settings), asks_tags)


def parameters(programs: Programs) -> list[dict[str, Any]]:
  """Where every parameter lies."""
  rows = []
  axes = dict(
    zip(
      named_leaves(programs.state.params),
      jax.tree.leaves(programs.axes, is_leaf=lambda x: isinstance(x, tuple)),
      strict=True,
    )
  )
  for name, leaf in named_leaves(programs.state.params).items():
    part = leaf.sharding.shard_shape(leaf.shape)
    rows.append(
      {
        "name": name,
        "axes": list(axes[name]),
        "shape": list(leaf.shape),
        "split": list(leaf.sharding.spec),
        "shape_on_device": list(part),
        "size": leaf.size,
        "bytes_on_device": math.prod(part) * leaf.dtype.itemsize,
      }
    )
  return rows


def measures(
  compiled: Any, program: Program, mesh: Mesh, chip: Chip
) -> dict[str, Any]:
  """What a compiled program tells, for one device."""
  text = compiled.as_text()
  cost = compiled.cost_analysis()
  memory = _memory(compiled.memory_analysis())
  logical, padded = hlo.padding(text)
  talks = hlo.collectives(text, dict(mesh.shape))
  traced = flops.matmul_flops(program.jaxpr) / mesh.size
  operations = max(cost.get("flops", 0.0), traced)
  moved = traffic.moved(text)
  model = Roofline.of(
    chip, operations, moved, sum((t.sent for t in talks), start=0.0)
  )
  return {
    "memory": memory,
    "flops": {"compiler": cost.get("flops", 0.0), "matmuls": traced},
    "bytes_moved": moved,
    "padding": {"bytes": logical, "padded": padded},
    "collectives": _by_kind(talks),
    "modelled": {
      "compute": model.compute,
      "memory": model.memory,
      "exchange": model.exchange,
      "bound": model.bound,
      "least": model.least,
      "most": model.most,
    },
  }


def _memory(told: Any) -> dict[str, int]:
  """Bytes of one device; results that reuse arguments count once in the sum."""
  found = {
    "arguments": told.argument_size_in_bytes,
    "results": told.output_size_in_bytes,
    "reused": told.alias_size_in_bytes,
    "temporaries": told.temp_size_in_bytes,
    "program": told.generated_code_size_in_bytes,
  }
  # The compiler's own peak, where it tells one, leaves out the program.
  together = sum(found.values()) - 2 * found["reused"]
  peak = told.peak_memory_in_bytes + found["program"]
  return found | {"peak": max(together, peak)}


def _by_kind(talks: list[hlo.Collective]) -> list[dict[str, Any]]:
  """Exchanges added up by kind and mesh axes, the largest first."""
  rows: dict[tuple[str, str], dict[str, Any]] = {}
  for talk in talks:
    row = rows.setdefault(
      (talk.kind, talk.axes),
      {
        "kind": talk.kind,
        "axes": talk.axes,
        "group": talk.group,
        "times": 0,
        "bytes": 0,
        "sent": 0.0,
        "counted": True,
      },
    )
    row["times"] += talk.times
    row["bytes"] += talk.bytes * talk.times
    row["sent"] += talk.sent
    row["counted"] &= talk.counted
  return sorted(rows.values(), key=lambda row: -row["sent"])


def first_line(text: str) -> str:
  """What an error of the compiler comes to, in one line."""
  lines = [line.strip() for line in text.splitlines() if line.strip()]
  told = [line for line in lines if "hbm" in line.lower()]
  return (told or lines or ["no message"])[0][:300]


if __name__ == "__main__":
  main()
