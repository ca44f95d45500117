"""The devices that answer questions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
from jax.sharding import Mesh

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import ShardingSettings
from tagrec_jax.sharding.mesh import make_mesh


def answering(
  settings: ShardingSettings, devices: Sequence[jax.Device] | None = None
) -> tuple[Mesh | None, str]:
  """Their mesh, and the preset that splits models; no mesh for one device.

  Where a run is asked on other devices than it was trained on, so that its mesh
  does not fit, each holds the whole model and a part of the catalogue. Answers
  do not depend on it.

  Args:
    devices: that share the work; None for all.
  """
  devices = jax.devices() if devices is None else devices
  if len(devices) == 1 or settings.backend == "pmap":
    return None, "data"
  try:
    return make_mesh(settings, devices), settings.preset
  except UserError:
    plain = dataclasses.replace(settings, data=-1, fsdp=1, sequence=1, tensor=1)
    return make_mesh(plain, devices), "data"
