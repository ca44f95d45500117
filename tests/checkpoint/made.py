"""A small state, and a run that saves it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from tagrec_jax.checkpoint.manager import Checkpoints
from tagrec_jax.checkpoint.meta import Identity

IDENTITY = Identity(
  config={"seed": 0, "model": {"width": 8, "moment": ("hour",)}, "train": {}},
  vocabularies={"items": (6, "aaaaaaaaaa"), "tags": (3, "bbbbbbbbbb")},
  data="dddddddddd",
  key=(0, 7),
  versions={"tagrec_jax": "0.1"},
)


def mesh_of(data, tensor):
  devices = np.array(jax.devices()[: data * tensor]).reshape(data, tensor)
  return Mesh(devices, ("data", "tensor"))


def make_state(step, mesh=None):
  """Leaves as a training state has them: int keys, scalars, split tables."""
  mesh = mesh or mesh_of(1, 1)
  random = np.random.default_rng(step)
  whole = NamedSharding(mesh, PartitionSpec())
  split = NamedSharding(mesh, PartitionSpec("tensor"))
  table = random.normal(size=(8, 4)).astype(np.float32)
  return {
    "step": jax.device_put(jnp.int32(step), whole),
    "params": {
      "table": jax.device_put(table, split),
      "layers": {0: {"bias": jax.device_put(table[0], whole)}},
    },
    "moments": (jax.device_put(table * 2, split),),
  }


def template_of(state):
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state
  )


def same(a, b):
  jax.tree.map(np.testing.assert_array_equal, a, b)


def open_(folder, keep=2, identity=IDENTITY, **options):
  return Checkpoints(folder, keep, identity, **options)
