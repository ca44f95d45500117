from __future__ import annotations

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import ShardingSettings
from tagrec_jax.layers.placing import placed, with_place
from tagrec_jax.sharding.mesh import MESH_AXES, make_mesh
from tagrec_jax.sharding.rules import (
  PRESETS,
  Places,
  param_shardings,
  spec_for,
)


@pytest.fixture(scope="module")
def mesh():
  return make_mesh(
    ShardingSettings(
      backend="jit", sequence=1, preset="fsdp_tensor", data=2, fsdp=2, tensor=2
    )
  )


@pytest.mark.parametrize(
  ("preset", "axes", "shape", "spec"),
  [
    ("fsdp_tensor", ("embed", "hidden"), (8, 6), P("fsdp", "tensor")),
    ("fsdp_tensor", ("heads", "embed"), (6, 8), P("tensor", "fsdp")),
    ("fsdp_tensor", ("products", "embed"), (6, 8), P("tensor", "fsdp")),
    ("fsdp_tensor", ("hidden",), (6,), P("tensor")),
    ("fsdp_tensor", (None,), (6,), P(None)),
    ("fsdp_tensor", ("embed", "embed"), (6, 8), P("fsdp", None)),
    # The catalogue is as long as the data make it: it stays whole.
    ("fsdp_tensor", ("products", "embed"), (7, 8), P(None, "fsdp")),
    # One mesh axis splits one dimension, even if two rules want it.
    ("tensor", ("heads", "hidden"), (6, 8), P("tensor", None)),
  ],
)
def test_specs(mesh, preset, axes, shape, spec):
  assert spec_for(axes, shape, preset, _fitting(preset, mesh)) == spec


def _fitting(preset, mesh):
  if preset == "tensor":
    return make_mesh(
      ShardingSettings(
        backend="jit", sequence=1, preset=preset, data=4, fsdp=1, tensor=2
      )
    )
  return mesh


def test_an_axis_of_one_device_splits_nothing():
  mesh = make_mesh(
    ShardingSettings(
      backend="jit", sequence=1, preset="fsdp_tensor", data=8, fsdp=1, tensor=1
    )
  )
  assert spec_for(("embed", "hidden"), (7, 5), "fsdp_tensor", mesh) == P(
    None, None
  )


def test_a_size_that_does_not_divide_names_both_numbers(mesh):
  with pytest.raises(UserError, match="'hidden' of 7") as error:
    spec_for(("embed", "hidden"), (8, 7), "fsdp_tensor", mesh, "mlp.kernel")
  text = str(error.value)
  assert text.startswith("mlp.kernel: ")
  assert "config.sharding.tensor=2" in text
  assert "make it 6, 8 or 10, or change" in text


def test_devices_that_would_repeat_work_are_told(mesh):
  with pytest.raises(UserError, match="'data' splits nothing over it"):
    spec_for(("embed",), (8,), "data", mesh)


def test_unknown_preset(mesh):
  with pytest.raises(UserError, match="use 'tensor'"):
    spec_for(("embed",), (8,), "tensr", mesh)


def test_param_shardings_hold_their_arrays(mesh):
  params = {"a": {0: np.ones((8, 6))}, "b": np.ones(3)}
  axes = {"a": {0: ("embed", "hidden")}, "b": (None,)}
  shardings = param_shardings(params, axes, "fsdp_tensor", mesh)
  placed = jax.device_put(params, shardings)
  assert placed["a"][0].addressable_shards[0].data.shape == (4, 3)
  assert placed["b"].addressable_shards[0].data.shape == (3,)


def test_parameters_are_used_whole_and_their_gradients_stored_split(mesh):
  places = Places("fsdp_tensor", mesh)
  axes = ("embed", "hidden")

  @jax.jit
  def both(x):
    used, back = jax.vjp(with_place(places, lambda x: placed(x, axes)), x)
    return used, back(used)[0]

  used, gradient = both(np.ones((8, 6)))
  assert used.sharding.spec == P(None, "tensor")
  assert gradient.sharding.spec == P("fsdp", "tensor")


def test_presets_name_only_mesh_axes():
  for rules in PRESETS.values():
    assert {axis for _, axis in rules} <= set(MESH_AXES)
