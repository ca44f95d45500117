"""The devices in named rows: batches, stored models, long rows, layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import ShardingSettings

MESH_AXES = ("data", "fsdp", "sequence", "tensor")
"""data: every device has a whole model. fsdp: devices share the storage of the
model and split the batch. sequence: devices split the positions of each row; a
mesh has this axis only where there is something to split. tensor: devices split
the work inside a layer."""

BATCH_AXES = ("data", "fsdp")
"""The axes that split the rows of a batch."""

POSITION_AXES = ("sequence",)
"""The axes that split the positions of each row."""

CATALOGUE_AXES = ("tensor",)
"""The axes that split products, tags and their vectors."""


def shared_axes(mesh: Any) -> dict[str, int]:
  """Axis → size of those that XLA cuts arrays along: no caller maps over them.

  Args:
    mesh: of an array, `jax.typeof(x).sharding.mesh`.
  """
  return {
    name: size
    for name, size, kind in zip(
      mesh.axis_names, mesh.axis_sizes, mesh.axis_types, strict=True
    )
    if kind == AxisType.Auto
  }


def make_mesh(
  settings: ShardingSettings, devices: Sequence[jax.Device] | None = None
) -> Mesh:
  """A mesh over all devices.

  Raises:
    UserError: if the sizes do not use every device exactly once.
  """
  devices = jax.devices() if devices is None else devices
  sizes = _sizes(settings, len(devices))
  grid = mesh_utils.create_device_mesh(
    tuple(sizes.values()), list(devices), allow_split_physical_axes=True
  )
  # Explicit axes, the default of newer JAX, refuse lookups in split tables.
  return Mesh(grid, tuple(sizes), axis_types=(AxisType.Auto,) * len(sizes))


def _sizes(settings: ShardingSettings, count: int) -> dict[str, int]:
  """Axis → devices along it, in order."""
  sizes = {name: getattr(settings, name) for name in MESH_AXES}
  if sizes["sequence"] == 1:
    del sizes["sequence"]
  data = sizes["data"]
  rest = {name: size for name, size in sizes.items() if name != "data"}
  model = math.prod(rest.values())
  if count % model:
    raise UserError(
      "config.sharding",
      f"found {_product(rest)} = {model} on {count} devices",
      f"a divisor of {count}",
      f"use {' or '.join(map(str, _near_divisors(count, model)))}",
    )
  if data == -1:
    return {"data": count // model, **rest}
  if data * model != count:
    used = data * model
    trouble = f"{count - used} idle" if used < count else f"{used} wanted"
    raise UserError(
      "config.sharding",
      f"found {_product(sizes)} = {used} on {count} devices ({trouble})",
      f"a product of {count}",
      f"set config.sharding.data={count // model}",
    )
  return sizes


def _product(sizes: dict[str, int]) -> str:
  return f"{' x '.join(sizes)} = {' x '.join(map(str, sizes.values()))}"


def _near_divisors(number: int, wish: int) -> list[int]:
  divisors = [d for d in range(1, number + 1) if number % d == 0]
  return sorted(sorted(divisors, key=lambda d: abs(d - wish))[:3])
