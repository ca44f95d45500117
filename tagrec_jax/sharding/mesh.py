"""The devices in three named rows: batches, stored models, split layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import ShardingSettings

MESH_AXES = ("data", "fsdp", "tensor")
"""data: every device has a whole model. fsdp: devices share the storage of the
model and split the batch. tensor: devices split the work inside a layer."""

BATCH_AXES = ("data", "fsdp")
"""The axes that split the rows of a batch."""

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
  shape = _shape(settings, len(devices))
  grid = mesh_utils.create_device_mesh(
    shape, list(devices), allow_split_physical_axes=True
  )
  # Explicit axes, the default of newer JAX, refuse lookups in split tables.
  return Mesh(grid, MESH_AXES, axis_types=(AxisType.Auto,) * len(MESH_AXES))


def _shape(settings: ShardingSettings, count: int) -> tuple[int, int, int]:
  data, fsdp, tensor = settings.data, settings.fsdp, settings.tensor
  model = fsdp * tensor
  if count % model:
    raise UserError(
      "config.sharding",
      f"found fsdp x tensor = {fsdp} x {tensor} = {model} on {count} devices",
      f"a divisor of {count}",
      f"use {' or '.join(map(str, _near_divisors(count, model)))}",
    )
  if data == -1:
    return count // model, fsdp, tensor
  if data * model != count:
    used = data * model
    trouble = f"{count - used} idle" if used < count else f"{used} wanted"
    raise UserError(
      "config.sharding",
      f"found data x fsdp x tensor = {data} x {fsdp} x {tensor} = {used} on"
      f" {count} devices ({trouble})",
      f"a product of {count}",
      f"set config.sharding.data={count // model}",
    )
  return data, fsdp, tensor


def _near_divisors(number: int, wish: int) -> list[int]:
  divisors = [d for d in range(1, number + 1) if number % d == 0]
  return sorted(sorted(divisors, key=lambda d: abs(d - wish))[:3])
