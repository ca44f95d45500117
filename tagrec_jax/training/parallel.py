"""One training step on many devices, in two ways behind one interface.

`JitBackend` compiles one program for a mesh and lets XLA split it: data,
storage (fsdp) and layers (tensor). `PmapBackend` runs one program on each
device with its own rows: plain data parallelism. Both compute the same numbers
as one device, whatever the rows hold.

A state is *live* while it trains; *saved* states look the same for every
backend and mesh, so that a run can go on where another stopped.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jax.sharding import (
  Mesh,
  NamedSharding,
  PartitionSpec,
  SingleDeviceSharding,
)
from jaxtyping import Array

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.rng import named_key
from tagrec_jax.sharding import place, rules
from tagrec_jax.training.optimizer import map_moments
from tagrec_jax.training.recipe import Recipe
from tagrec_jax.training.state import TrainState, new_state
from tagrec_jax.training.step import Report, Step, make_train_step

HostBatch = Mapping[str, np.ndarray]
Batches = Mapping[str, Array]
"""Of one call, on the devices."""


@runtime_checkable
class Backend(Protocol):
  """How a recipe runs on the devices."""

  recipe: Recipe

  @property
  def host_share(self) -> tuple[int, int]:
    """(index, count): the part of each batch's rows this process makes."""
    ...

  def init_state(self) -> TrainState:
    """The live state before the first step, born where it belongs."""
    ...

  def template(self) -> TrainState:
    """The shapes, types and places of a saved state."""
    ...

  def saved(self, live: TrainState) -> TrainState: ...

  def live(self, saved: TrainState) -> TrainState: ...

  def place_batches(self, batches: Sequence[HostBatch]) -> Batches:
    """The batches of one call, where the devices want them."""
    ...

  def train_steps(
    self, live: TrainState, batches: Batches
  ) -> tuple[TrainState, Report]:
    """One call: an update for each batch; `live` is used up.

    The report has the sums of all steps, what is said of each, and the counters
    after the last.
    """
    ...

  def fetch(self, report: Any) -> Any:
    """A tree of a report's scalars, on the host."""
    ...

  def answering(self, live: TrainState) -> dict[str, Any]:
    """The parameters to evaluate, for use in any jitted function."""
    ...


class JitBackend:
  """One program for the whole mesh.

  Args:
    preset: which logical axes the mesh splits: a name of sharding/rules.py.
  """

  def __init__(self, recipe: Recipe, mesh: Mesh, preset: str):
    self.recipe = recipe
    self._mesh = mesh
    whole = NamedSharding(mesh, PartitionSpec())
    self._shapes = jax.eval_shape(lambda: new_state(recipe))
    stored = rules.param_shardings(
      self._shapes.params, recipe.axes, preset, mesh
    )
    self._shardings = _state_shardings(recipe, self._shapes, stored, whole)
    self._init = jax.jit(
      lambda: new_state(recipe), out_shardings=self._shardings
    )
    step = make_train_step(recipe, place=rules.Places(preset, mesh))
    self._steps = jax.jit(
      _in_a_row(step, recipe.seed),
      out_shardings=(self._shardings, whole),
      donate_argnums=0,
    )

  @property
  def host_share(self) -> tuple[int, int]:
    return place.host_share(self._mesh)

  def init_state(self) -> TrainState:
    return self._init()

  def template(self) -> TrainState:
    return _with_shardings(self._shapes, self._shardings)

  def saved(self, live: TrainState) -> TrainState:
    return live

  def live(self, saved: TrainState) -> TrainState:
    return saved

  def place_batches(self, batches: Sequence[HostBatch]) -> Batches:
    steps = self.recipe.accumulate_steps
    return place.place_batches(batches, self._mesh, steps)

  def train_steps(
    self, live: TrainState, batches: Batches
  ) -> tuple[TrainState, Report]:
    return self._steps(live, batches)

  def fetch(self, report: Any) -> Any:
    return jax.device_get(report)

  def answering(self, live: TrainState) -> dict[str, Any]:
    return live.answering


class PmapBackend:
  """One program for each device; every device holds the whole state.

  A live state and a report have a leading axis of the devices.
  """

  def __init__(self, recipe: Recipe, devices: Sequence[jax.Device]):
    if jax.process_count() > 1:
      raise UserError(
        "config.sharding.backend",
        f"found 'pmap' on {jax.process_count()} processes",
        "one process",
        "set config.sharding.backend='jit'",
      )
    self.recipe = recipe
    self._devices = list(devices)
    mesh = Mesh(np.asarray(self._devices), ("devices",))
    self._rows = NamedSharding(mesh, PartitionSpec("devices"))
    self._init = jax.jit(
      lambda: new_state(recipe),
      out_shardings=SingleDeviceSharding(self._devices[0]),
    )
    step = make_train_step(recipe, axis_name="devices")
    self._steps = jax.pmap(
      _in_a_row(step, recipe.seed),
      axis_name="devices",
      devices=self._devices,
      donate_argnums=0,
    )
    # The second argument only says how many copies are wanted.
    self._copy = jax.pmap(
      lambda tree, _: tree,
      axis_name="devices",
      in_axes=(None, 0),
      devices=self._devices,
    )

  @property
  def host_share(self) -> tuple[int, int]:
    return 0, 1

  def init_state(self) -> TrainState:
    return self.live(self._init())

  def template(self) -> TrainState:
    shapes = jax.eval_shape(lambda: new_state(self.recipe))
    place_ = SingleDeviceSharding(self._devices[0])
    return _with_shardings(shapes, jax.tree.map(lambda _: place_, shapes))

  def saved(self, live: TrainState) -> TrainState:
    return _first(live)

  def live(self, saved: TrainState) -> TrainState:
    return self._copy(saved, np.arange(len(self._devices)))

  def place_batches(self, batches: Sequence[HostBatch]) -> Batches:
    parts = len(self._devices)
    split = {}
    for name, stacked in place.stack(batches).items():
      place.check_rows(stacked.shape[1], parts, self.recipe.accumulate_steps)
      split[name] = np.stack(np.split(stacked, parts, axis=1))
    return jax.device_put(split, self._rows)

  def train_steps(
    self, live: TrainState, batches: Batches
  ) -> tuple[TrainState, Report]:
    return self._steps(live, batches)

  def fetch(self, report: Any) -> Any:
    return jax.tree.map(lambda scalars: scalars[0], jax.device_get(report))

  def answering(self, live: TrainState) -> dict[str, Any]:
    return _first(live.answering)


def _in_a_row(
  step: Step, seed: int
) -> Callable[[TrainState, Batches], tuple[TrainState, Report]]:
  """(state, stacked batches) → state after a step with each, merged report.

  One batch needs no loop. XLA removes one of a single turn too late: by then
  the CPU's slow convolutions are chosen, see `layers.conv.Conv`.
  """

  def steps(state: TrainState, batches: Batches) -> tuple[TrainState, Report]:
    key = named_key(seed, "train")
    if len(jax.tree.leaves(batches)[0]) == 1:
      only = jax.tree.map(lambda x: x[0], batches)
      return step(state, only, key)
    state, reports = jax.lax.scan(
      lambda state, batch: step(state, batch, key), state, batches
    )
    last = jax.tree.map(lambda x: x[-1], reports)
    sums = jax.tree.map(lambda x: x.sum(0), reports.sums)
    return state, dataclasses.replace(last, sums=sums, bad=reports.bad)

  return steps


def _state_shardings(
  recipe: Recipe, shapes: TrainState, stored: Any, whole: NamedSharding
) -> TrainState:
  """Averages and moments lie where their parameters lie."""

  def follow(leaf: Any, param: Any, sharding: NamedSharding) -> NamedSharding:
    # Factored moments are smaller than their parameter.
    return sharding if leaf.shape == param.shape else whole

  return TrainState(
    step=whole,
    params=stored,
    opt_state=map_moments(
      recipe.optimizer.transform,
      follow,
      shapes.opt_state,
      shapes.params,
      stored,
      others=lambda _: whole,
    ),
    ema=stored if shapes.ema else {},
    skipped=whole,
    skipped_in_row=whole,
    last_skipped=whole,
    usual=jax.tree.map(lambda _: whole, shapes.usual),
  )


def _with_shardings(shapes: Any, shardings: Any) -> Any:
  return jax.tree.map(
    lambda s, where: jax.ShapeDtypeStruct(s.shape, s.dtype, sharding=where),
    shapes,
    shardings,
  )


def _first(live: Any) -> Any:
  """The first device's copy."""
  return jax.tree.map(lambda x: x.addressable_shards[0].data[0], live)
