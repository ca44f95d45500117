"""Host batches → global arrays whose rows are split over the mesh."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from tagrec_jax.core.errors import UserError
from tagrec_jax.sharding.mesh import BATCH_AXES


def batch_sharding(mesh: Mesh) -> NamedSharding:
  """Rows are split, everything else is whole."""
  return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


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
  places = batch_sharding(mesh).addressable_devices_indices_map((parts,))
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


def check_rows(rows: int, parts: int, field: str) -> None:
  """Raises UserError unless `rows` split evenly into `parts`."""
  if rows % parts:
    down = rows - rows % parts
    sizes = f"{down} or {down + parts}" if down else f"{parts}"
    raise UserError(
      field,
      f"found {rows} rows on {parts} data-parallel devices",
      f"a multiple of {parts}",
      f"use {sizes}",
    )


def place_batch(
  batch: Mapping[str, np.ndarray],
  mesh: Mesh,
  field: str = "config.pipeline.batch_rows",
) -> dict[str, jax.Array]:
  """This process's rows of a batch, put where the mesh wants them.

  Args:
    batch: name → array [rows, ...], the share given by `host_share`.
    field: the setting that chose the number of rows, for errors.

  Returns:
    name → global array [rows · count, ...].
  """
  _, count = host_share(mesh)
  sharding = batch_sharding(mesh)
  placed = {}
  for name, local in batch.items():
    rows = len(local) * count
    check_rows(rows, row_parts(mesh), field)
    placed[name] = jax.make_array_from_process_local_data(
      sharding, local, global_shape=(rows, *local.shape[1:])
    )
  return placed
