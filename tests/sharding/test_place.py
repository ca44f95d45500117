from __future__ import annotations

import numpy as np
import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import ShardingSettings
from tagrec_jax.sharding.mesh import make_mesh
from tagrec_jax.sharding.place import host_share, place_batches


@pytest.fixture(scope="module")
def mesh():
  return make_mesh(
    ShardingSettings(
      backend="jit", sequence=1, preset="fsdp_tensor", data=2, fsdp=2, tensor=2
    )
  )


def test_rows_are_split_and_kept_in_order(mesh):
  ids = np.arange(24, dtype=np.int32).reshape(8, 3)
  batches = [{"ids": x, "last": x[:, 0]} for x in (ids, -ids, 2 * ids)]
  placed = place_batches(batches, mesh)
  for number, batch in enumerate(batches):
    for name, rows in batch.items():
      np.testing.assert_array_equal(placed[name][number], rows)
  shapes = {s.data.shape for s in placed["ids"].addressable_shards}
  assert shapes == {(3, 2, 3)}


def test_one_process_makes_all_rows(mesh):
  assert host_share(mesh) == (0, 1)


@pytest.mark.parametrize(
  ("rows", "fix"),
  [(10, "use 4, 8 or 12"), (3, "use 4, 8 or 12"), (43, "use 40, 44 or 48")],
)
def test_rows_that_do_not_divide(mesh, rows, fix):
  with pytest.raises(UserError, match=f"found {rows} rows on 4 .*{fix}"):
    place_batches([{"ids": np.zeros((rows, 2), np.int32)}], mesh)


def test_positions_are_split_where_a_row_has_some():
  mesh = make_mesh(
    ShardingSettings(
      backend="jit", preset="sequence", data=2, fsdp=1, sequence=4, tensor=1
    )
  )
  ids = np.arange(32, dtype=np.int32).reshape(4, 8)
  placed = place_batches([{"ids": ids, "last": ids[:, 0]}], mesh)
  np.testing.assert_array_equal(placed["ids"][0], ids)
  shapes = {
    name: {s.data.shape for s in array.addressable_shards}
    for name, array in placed.items()
  }
  assert shapes == {"ids": {(1, 2, 2)}, "last": {(1, 2)}}
