from __future__ import annotations

import jax
import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import ShardingSettings
from tagrec_jax.sharding.mesh import make_mesh


def settings(data=-1, fsdp=1, tensor=1, sequence=1):
  return ShardingSettings(
    backend="jit",
    sequence=sequence,
    preset="data",
    data=data,
    fsdp=fsdp,
    tensor=tensor,
  )


@pytest.mark.parametrize(
  ("sizes", "shape"),
  [
    ((-1, 1, 1), (8, 1, 1)),
    ((-1, 2, 2), (2, 2, 2)),
    ((4, 2, 1), (4, 2, 1)),
    ((1, 1, 8), (1, 1, 8)),
  ],
)
def test_every_device_is_used_once(sizes, shape):
  mesh = make_mesh(settings(*sizes))
  assert tuple(mesh.shape.values()) == shape
  assert {d.id for d in mesh.devices.flat} == set(range(8))


def test_positions_have_an_axis_where_they_are_split():
  mesh = make_mesh(settings(fsdp=2, tensor=2, sequence=2))
  assert dict(mesh.shape) == {"data": 1, "fsdp": 2, "sequence": 2, "tensor": 2}
  assert "sequence" not in make_mesh(settings()).shape


def test_a_mesh_on_chosen_devices():
  mesh = make_mesh(settings(fsdp=2), jax.devices()[:4])
  assert tuple(mesh.shape.values()) == (2, 2, 1)


@pytest.mark.parametrize(
  ("sizes", "parts"),
  [
    ((-1, 3, 1), ["= 3 on 8 devices", "fsdp x tensor = 4 x 1, 2 x 1 or 8 x 1"]),
    (
      (3, 2, 1),
      [
        "= 6 on 8 devices (2 idle)",
        "use data x fsdp x tensor = 4 x 2 x 1, 2 x 4 x 1 or 8 x 1 x 1",
      ],
    ),
    (
      (4, 2, 2),
      ["= 16 on 8 devices (16 wanted)", " = 2 x 2 x 2, 4 x 1 x 2 or 4 x 2 x 1"],
    ),
    ((0, 1, 1), ["= 0 on 8 devices (8 idle)", " = 8 x 1 x 1, "]),
  ],
)
def test_sizes_that_do_not_fit_name_both_numbers(sizes, parts):
  with pytest.raises(UserError) as error:
    make_mesh(settings(*sizes))
  assert all(part in str(error.value) for part in parts), error.value
