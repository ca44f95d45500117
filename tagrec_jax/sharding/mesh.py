"""The devices in named rows: batches, stored models, long rows, layers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh

from tagrec_jax.core.errors import UserError, either
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
      _near(sizes, count),
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
      _near(sizes, count),
    )
  return sizes


def _product(sizes: dict[str, int]) -> str:
  return f"{' x '.join(sizes)} = {' x '.join(map(str, sizes.values()))}"


def _near(wish: dict[str, int], count: int) -> str:
  """The fix: the three nearest sizes that use all devices, the nearest first.

  Near in ratios; an axis that is not used stays so, if others can be had.
  """
  fixed = {name: size for name, size in wish.items() if size != -1}
  divisors = [d for d in range(1, count + 1) if count % d == 0]
  free = len(fixed) < len(wish)  # data=-1: whatever is left
  fitting = [
    sizes
    for sizes in itertools.product(divisors, repeat=len(fixed))
    if count % math.prod(sizes) == 0 and (free or math.prod(sizes) == count)
  ]

  def distance(sizes: tuple[int, ...]) -> float:
    return sum(
      abs(math.log2(size / max(wished, 1))) + 2 * (wished == 1 != size)
      for size, wished in zip(sizes, fixed.values(), strict=True)
    )

  nearest = sorted(fitting, key=distance)[:3]
  return f"use {' x '.join(fixed)} = " + either(
    [" x ".join(map(str, sizes)) for sizes in nearest]
  )
