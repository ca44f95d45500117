"""A few steps of a config in any layout, for tests that compare layouts."""

from __future__ import annotations

import dataclasses

import jax

from tagrec_jax import build


def on(settings, backend, preset, data, fsdp, tensor, sequence=1):
  """The settings, on other devices."""
  sharding = dataclasses.replace(
    settings.sharding,
    backend=backend,
    preset=preset,
    data=data,
    fsdp=fsdp,
    tensor=tensor,
    sequence=sequence,
  )
  return dataclasses.replace(settings, sharding=sharding)


def run(settings, dataset, steps):
  """The state as it lies on devices, as it is saved, and all reports."""
  recipe = build.recipe(settings, build.model(settings, dataset))
  backend = build.backend(settings, recipe)
  batches = build.train_batches(settings, dataset, backend.host_share)
  state, reports = backend.init_state(), []
  for step in range(steps):
    batch = backend.place_batches([batches(step)])
    state, report = backend.train_steps(state, batch)
    reports.append(backend.fetch(report))
  return state, backend.saved(state), reports


def run_batches(backend, batches):
  """The saved state after these batches, one a step, and all reports."""
  state, reports = backend.init_state(), []
  for batch in batches:
    state, report = backend.train_steps(state, backend.place_batches([batch]))
    reports.append(backend.fetch(report))
  return jax.device_get(backend.saved(state)), reports
