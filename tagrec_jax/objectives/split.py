"""Which devices hold which rows and which part of the catalogue.

Left to XLA's partitioner, a sum over tiles becomes one all-reduce of the whole
table's gradient for every tile. Here each device adds up its own tiles, and
devices talk once, at the end.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import PartitionSpec

from tagrec_jax.sharding.mesh import (
  BATCH_AXES,
  CATALOGUE_AXES,
  POSITION_AXES,
  shared_axes,
)


@dataclasses.dataclass(frozen=True)
class Split:
  """How the rows of a batch and a catalogue are spread.

  Attributes:
    mesh: where the arrays live; without axes on one device.
    batch: mesh axes that share the rows of a batch; () also where the caller
      maps over devices itself.
    catalogue: mesh axes that share the catalogue.
    positions: those that share the positions of each row.
  """

  mesh: Any
  batch: tuple[str, ...]
  catalogue: tuple[str, ...]
  positions: tuple[str, ...] = ()

  @classmethod
  def of(cls, queries_BTD: jax.Array, vectors_CD: jax.Array) -> Split:
    """Splits along every axis of the arrays' mesh that divides them evenly.

    The mesh is known while tracing, the layout of the arrays on it is not. An
    array that lies otherwise is moved: the result is the same.
    """
    mesh = jax.typeof(queries_BTD).sharding.mesh
    free = {name: size for name, size in shared_axes(mesh).items() if size > 1}

    def chosen(names: tuple[str, ...], length: int) -> tuple[str, ...]:
      axes = tuple(name for name in names if name in free)
      whole = length % math.prod(free[name] for name in axes) == 0
      return axes if whole else ()

    batch = chosen(BATCH_AXES, queries_BTD.shape[0])
    positions = chosen(POSITION_AXES, queries_BTD.shape[1])
    catalogue = chosen(CATALOGUE_AXES, vectors_CD.shape[0])
    return cls(mesh, batch, catalogue, positions)

  @property
  def uncut(self) -> tuple[str, ...]:
    """Axes along which devices hold the same."""
    cut = self.batch + self.positions + self.catalogue
    sizes = shared_axes(self.mesh)
    return tuple(n for n, size in sizes.items() if size > 1 and n not in cut)

  def parts(self, axes: tuple[str, ...]) -> int:
    """Into how many parts an array is cut along some of the axes."""
    return math.prod(self.mesh.shape[name] for name in axes)

  def run(self, function: Callable, inputs: str, outputs: str) -> Callable:
    """The function, called on each device with its own part.

    Args:
      function: must add up over devices itself.
      inputs, outputs: one letter an array: B for one whose first axes are rows
        and positions, C for the catalogue, and - for one that all devices
        share.
    """
    if not self.batch + self.positions + self.catalogue:
      return function
    specs = {
      "B": PartitionSpec(self.batch, self.positions),
      "C": PartitionSpec(self.catalogue),
      "-": PartitionSpec(),
    }
    return jax.shard_map(
      function,
      mesh=self.mesh,
      in_specs=tuple(specs[letter] for letter in inputs),
      out_specs=tuple(specs[letter] for letter in outputs),
      # Axes of one device too: a kernel must have none left to XLA.
      axis_names=set(shared_axes(self.mesh)) - set(self.uncut),
      check_vma=False,  # nothing is differentiated through the map
    )

  def sum_over_batch(self, x: Any) -> Any:
    axes = self.batch + self.positions
    return jax.lax.psum(x, axes) if axes else x

  def sum_over_catalogue(self, x: Any) -> Any:
    return jax.lax.psum(x, self.catalogue) if self.catalogue else x
