"""The model of step times held against steps that a CPU really takes."""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from tagrec_jax.core import files
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.log import say
from tagrec_jax.core.settings import Settings
from tagrec_jax.run.aot import flops, made_up, traffic
from tagrec_jax.run.aot.chips import Chip
from tagrec_jax.run.aot.programs import Programs
from tagrec_jax.run.aot.roofline import Roofline
from tagrec_jax.sharding.mesh import make_mesh

FILE = "measured-cpu.json"
"""Of the folder of reports."""

_CATALOGUE = {"products": 2000, "tags": 20, "tags_each": 4}

ROUNDS = 12
"""Each program runs once in a round; of all rounds the fastest counts."""


def write(settings: Settings, sizes: Sequence[str], folder: str) -> None:
  """Measures a config at some sizes and keeps `FILE`.

  Args:
    sizes: WIDTHxLAYERS each.

  Raises:
    UserError: for a size that is none.
  """
  found = measured([_sized(settings, size) for size in sizes], _CATALOGUE)
  about = f"{settings.name}, {_CATALOGUE['products']:,} products made up"
  files.write_json(pathlib.Path(folder) / FILE, {"about": about} | found)


def _sized(settings: Settings, size: str) -> Settings:
  try:
    width, layers = (int(number) for number in size.split("x"))
  except ValueError:
    raise UserError(
      "--sizes", f"found '{size}'", "WIDTHxLAYERS", "such as 64x2,128x4"
    ) from None
  model = dataclasses.replace(
    settings.model, width=width, hidden=4 * width, layers=layers
  )
  return dataclasses.replace(settings, name=size, model=model)


def measured(
  sizes: Sequence[Settings], catalogue: Mapping[str, int]
) -> dict[str, Any]:
  """Modelled and measured seconds of a training step on one CPU device.

  All programs and the two rates take turns, so that whoever else uses the
  machine disturbs them alike.

  Args:
    sizes: configs to be compared, by their names.
    catalogue: see `made_up`.
  """
  rates = {"flops": _products(), "bytes": _copies()}
  steps: dict[str, Callable[[], None]] = {}
  counted: dict[str, tuple[float, float]] = {}
  for settings in sizes:
    say(f"compiling {settings.name}")
    steps[settings.name], counted[settings.name] = _step(settings, catalogue)
  best: dict[str, float] = {}
  for _ in range(ROUNDS):
    turns = {name: run for name, (run, _) in rates.items()} | steps
    for name, run in turns.items():
      began = time.perf_counter()
      run()
      took = time.perf_counter() - began
      best[name] = min(best.get(name, took), took)
  cpu = Chip(
    "cpu",
    0,
    rates["flops"][1] / best["flops"],
    rates["bytes"][1] / best["bytes"],
    1.0,
    "measured",
  )
  rows = []
  for name, (operations, moved) in counted.items():
    model = Roofline.of(cpu, operations, moved, 0.0)
    rows.append(
      {
        "name": name,
        "flops": operations,
        "bytes_moved": moved,
        "least": model.least,
        "most": model.most,
        "measured": best[name],
      }
    )
  return {"flops": cpu.flops, "bytes": cpu.hbm_rate, "steps": rows}


def _step(
  settings: Settings, catalogue: Mapping[str, int]
) -> tuple[Callable[[], None], tuple[float, float]]:
  """One training step on zeros, and its operations and bytes."""
  mesh = make_mesh(settings.sharding, jax.devices("cpu")[:1])
  made = made_up.made_up(settings, **catalogue)
  program = Programs(settings, made, mesh).train()
  compiled = program.lowered.compile()
  arrays, state, batches = jax.tree.map(
    lambda x: jnp.zeros(x.shape, x.dtype), program.lowered.args_info[0]
  )
  kept = {"state": state}

  def run() -> None:
    kept["state"], told = compiled(arrays, kept["state"], batches)
    jax.block_until_ready((kept["state"], told))

  run()
  moved = traffic.moved(compiled.as_text())
  return run, (flops.matmul_flops(program.jaxpr), moved)


def _products() -> tuple[Callable[[], None], float]:
  """A large matrix product, and its operations."""
  size = 1536
  x = jnp.ones((size, size))
  product = jax.jit(jnp.matmul)
  return lambda: jax.block_until_ready(product(x, x)), 2.0 * size**3


def _copies() -> tuple[Callable[[], None], float]:
  """A sum of two arrays that no cache holds, and the bytes it moves."""
  x = jnp.ones(2**25)
  add = jax.jit(jnp.add, donate_argnums=0)
  kept = {"x": jnp.zeros(2**25)}

  def run() -> None:
    kept["x"] = jax.block_until_ready(add(kept["x"], x))

  return run, 3.0 * x.nbytes
