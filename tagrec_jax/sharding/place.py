"""Host batches → global arrays whose rows are split over the mesh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from tagrec_jax.core.errors import UserError, near_multiples
from tagrec_jax.sharding.mesh import BATCH_AXES
from tagrec_jax.sharding.rules import splits_positions


def row_parts(mesh: Mesh) -> int:
  """Into how many parts the rows of a global batch are split."""
  return int(np.prod([mesh.shape[axis] for axis in BATCH_AXES]))


def host_share(mesh: Mesh) -> tuple[int, int]:
  """(index, count): this process makes part `index` of `count` of the rows.

  Not the process index and count: processes that share a tensor axis make the
  same rows.

  Raises:
    UserError: if the rows of this process are not one even block.
  """
  parts = row_parts(mesh)
  rows = NamedSharding(mesh, PartitionSpec(BATCH_AXES))
  places = rows.addressable_devices_indices_map((parts,))
  mine = sorted({i[0].indices(parts)[0] for i in places.values() if i})
  even = mine == list(range(mine[0], mine[0] + len(mine)))
  if not even or parts % len(mine) or mine[0] % len(mine):
    raise UserError(
      "config.sharding",
      f"process {jax.process_index()} holds the parts {mine} of {parts}",
      "one even block of rows for each process",
      "let data or fsdp be a multiple of the number of processes",
    )
  return mine[0] // len(mine), parts // len(mine)


def check_rows(rows: int, parts: int, steps: int = 1) -> None:
  """Raises UserError unless the rows of a batch split evenly.

  Args:
    parts: devices that share them. steps: turns in which each takes its own.
  """
  even = parts * steps
  if rows % even:
    turns = f" x {steps} config.train.accumulate_steps" if steps > 1 else ""
    raise UserError(
      "config.pipeline.batch_rows",
      f"found {rows} rows on {parts} data-parallel devices{turns}",
      f"a multiple of {even}",
      f"use {near_multiples(rows, even)}",
    )


def stack(batches: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
  """name → array [batches, rows, ...]."""
  return {
    name: np.stack([batch[name] for batch in batches]) for name in batches[0]
  }


def batch_shapes(
  stacked: Mapping[str, np.ndarray], mesh: Mesh
) -> dict[str, jax.ShapeDtypeStruct]:
  """What `place_batches` gives, as shapes.

  Args:
    stacked: name → array [batches, rows, ...] of all hosts.
  """
  return {
    name: jax.ShapeDtypeStruct(
      array.shape, array.dtype, sharding=_of_batches(array, mesh)
    )
    for name, array in stacked.items()
  }


def _of_batches(stacked: np.ndarray, mesh: Mesh) -> NamedSharding:
  """Of an array [batches, rows, positions, ...], or one without positions."""
  spec: list[Any] = [None, BATCH_AXES]
  if splits_positions(mesh) and stacked.ndim > 2:
    spec.append("sequence")
  return NamedSharding(mesh, PartitionSpec(*spec))


def place_batches(
  batches: Sequence[Mapping[str, np.ndarray]], mesh: Mesh, steps: int = 1
) -> dict[str, jax.Array]:
  """This process's rows of some batches, put where the mesh wants them.

  Args:
    batches: name → array [rows, ...] each, the share given by `host_share`.
    steps: turns in which the rows of a batch are taken.

  Returns:
    name → global array [batches, rows · count, ...].
  """
  _, count = host_share(mesh)
  placed = {}
  for name, local in stack(batches).items():
    number, rows, *rest = local.shape
    check_rows(rows * count, row_parts(mesh), steps)
    placed[name] = jax.make_array_from_process_local_data(
      _of_batches(local, mesh),
      local,
      global_shape=(number, rows * count, *rest),
    )
  return placed


def row_shapes(
  batch: Mapping[str, np.ndarray], mesh: Mesh
) -> dict[str, jax.ShapeDtypeStruct]:
  """What `place_rows` gives, as shapes."""
  shapes = {}
  for name, array in batch.items():
    even = array.ndim and array.shape[0] % mesh.size == 0
    spec = PartitionSpec(mesh.axis_names) if even else PartitionSpec()
    where = NamedSharding(mesh, spec)
    shapes[name] = jax.ShapeDtypeStruct(
      array.shape, array.dtype, sharding=where
    )
  return shapes


def place_rows(
  batch: Mapping[str, np.ndarray], mesh: Mesh
) -> dict[str, jax.Array]:
  """The rows of a batch that every process has, split over all devices.

  Rows that do not divide are whole on each.
  """
  shapes = row_shapes(batch, mesh)
  return {
    name: jax.make_array_from_callback(
      array.shape, shapes[name].sharding, array.__getitem__
    )
    for name, array in batch.items()
  }
