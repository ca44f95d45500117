from __future__ import annotations

import numpy as np
import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import ShardingSettings
from tagrec_jax.sharding.mesh import make_mesh
from tagrec_jax.sharding.place import host_share, place_batch


@pytest.fixture(scope="module")
def mesh():
  return make_mesh(
    ShardingSettings(
      backend="jit", preset="fsdp_tensor", data=2, fsdp=2, tensor=2
    )
  )


def test_rows_are_split_and_kept_in_order(mesh):
  ids = np.arange(24, dtype=np.int32).reshape(8, 3)
  placed = place_batch({"ids": ids, "last": ids[:, 0]}, mesh)
  np.testing.assert_array_equal(placed["ids"], ids)
  np.testing.assert_array_equal(placed["last"], ids[:, 0])
  shapes = {s.data.shape for s in placed["ids"].addressable_shards}
  assert shapes == {(2, 3)}


def test_one_process_makes_all_rows(mesh):
  assert host_share(mesh) == (0, 1)


@pytest.mark.parametrize(("rows", "fix"), [(10, "use 8 or 12"), (3, "use 4")])
def test_rows_that_do_not_divide(mesh, rows, fix):
  with pytest.raises(UserError, match=f"found {rows} rows on 4 .*{fix}"):
    place_batch({"ids": np.zeros((rows, 2), np.int32)}, mesh)
