"""Where a parameter's axes go: from logical names to mesh axes.

A layer names its axes (layers/param.py); a preset says which mesh axis splits
which name. Layers never know of meshes, and presets never of layers.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from tagrec_jax.core.errors import UserError, near_multiples
from tagrec_jax.core.registry import nearest
from tagrec_jax.core.trees import map_named
from tagrec_jax.sharding import lookups
from tagrec_jax.sharding.lookups import Lookup
from tagrec_jax.sharding.mesh import BATCH_AXES, POSITION_AXES

Rules = tuple[tuple[str, str], ...]

_FSDP: Rules = (("embed", "fsdp"),)
_TENSOR: Rules = (
  ("products", "tensor"),
  ("vocabulary", "tensor"),
  ("content", "tensor"),
  ("people", "tensor"),
  ("catalogue", "tensor"),
  ("heads", "tensor"),
  ("hidden", "tensor"),
)
_SEQUENCE: Rules = (("positions", "sequence"),)
PRESETS: dict[str, Rules] = {
  "data": (),
  "fsdp": _FSDP,
  "tensor": _TENSOR,
  "sequence": _SEQUENCE,
  "fsdp_tensor": _FSDP + _TENSOR,
  "fsdp_sequence": _FSDP + _SEQUENCE,
  "fsdp_tensor_sequence": _FSDP + _TENSOR + _SEQUENCE,
}
"""name → ordered (logical axis, mesh axis); the first that matches is used."""

DATA_SIZED = frozenset(
  {"products", "vocabulary", "content", "people", "catalogue"}
)
"""Axes as long as the data set makes them. Where such a size does not divide,
the axis stays whole; every other size is the user's to choose, and an error."""


def rules_of(preset: str, mesh: Mesh) -> Rules:
  """The rules of a preset.

  Raises:
    UserError: for an unknown name, and if a mesh axis would only repeat work
      because neither the batch nor any rule of the preset uses it.
  """
  if preset not in PRESETS:
    raise UserError(
      "config.sharding.preset",
      f"found '{preset}'",
      f"one of {', '.join(PRESETS)}",
      nearest(preset, list(PRESETS)),
    )
  used = {*BATCH_AXES, *(axis for _, axis in PRESETS[preset])}
  for axis, size in mesh.shape.items():
    if size > 1 and axis not in used:
      raise UserError(
        f"config.sharding.{axis}",
        f"found {size}, but the preset '{preset}' splits nothing over it",
        f"a preset with '{axis}'",
        f"use '{_presets_with(axis)}' or set config.sharding.{axis}=1",
      )
  return PRESETS[preset]


def spec_for(
  axes: tuple[str | None, ...],
  shape: tuple[int, ...],
  preset: str,
  mesh: Mesh,
  where: str = "parameter",
) -> PartitionSpec:
  """The mesh axis of each dimension of one parameter.

  A mesh axis splits at most one dimension, the one whose rule comes first.

  Args:
    axes: logical names, one for each dimension of `shape`.
    where: the parameter's name, for errors.

  Raises:
    UserError: if a dimension does not divide (see `DATA_SIZED`).
  """
  if len(axes) != len(shape):
    raise UserError(
      where, f"{len(axes)} axis names {axes} for the shape {shape}", "as many"
    )
  spec: list[str | None] = [None] * len(shape)
  for logical, mesh_axis in rules_of(preset, mesh):
    parts = mesh.shape.get(mesh_axis, 1)
    if logical not in axes or mesh_axis in spec or parts == 1:
      continue
    dimension = axes.index(logical)
    size = shape[dimension]
    if spec[dimension] is not None:
      continue
    if size % parts == 0:
      spec[dimension] = mesh_axis
    elif logical not in DATA_SIZED:
      raise UserError(
        where,
        f"axis '{logical}' of {size} does not divide by"
        f" config.sharding.{mesh_axis}={parts}",
        f"a multiple of {parts}",
        f"make it {near_multiples(size, parts)}, or change the mesh",
      )
  return PartitionSpec(*spec)


def param_shardings(shapes: Any, axes: Any, preset: str, mesh: Mesh) -> Any:
  """The sharding of every parameter.

  Args:
    shapes: tree of arrays or shape structs.
    axes: the parallel tree of axis names.
  """
  return map_named(
    lambda name, leaf, names: NamedSharding(
      mesh, spec_for(names, leaf.shape, preset, mesh, name)
    ),
    shapes,
    axes,
  )


@dataclasses.dataclass(frozen=True)
class Places:
  """Where the arrays of a step lie, see `layers.placing`.

  Attributes:
    whole: logical axes that are not split.
  """

  preset: str
  mesh: Mesh
  whole: frozenset[str] = frozenset()

  def few(self, name: str) -> Places:
    """Where an axis has so few places that all devices hold them."""
    return dataclasses.replace(self, whole=self.whole | {name})

  @property
  def splits_tables(self) -> bool:
    """Whether a table lies on several devices."""
    split = {axis for _, axis in rules_of(self.preset, self.mesh)}
    split -= set(POSITION_AXES)
    return any(self.mesh.shape.get(axis, 1) > 1 for axis in split)

  def sums(
    self,
    table_VD: Array,
    axes: tuple[str | None, ...],
    ids: Array,
    shares: Array,
    of: tuple[str | None, ...],
    learned: bool,
    dtype: Any,
  ) -> Array:
    """Sums of a table's rows, see `layers.placing.summed`."""
    spec = self._spec(axes, table_VD.shape)
    lookup = Lookup.of(self.mesh, spec, ids.shape[:-1], of, dtype)
    return lookups.sums(lookup, learned, table_VD, ids, shares)

  def used(self, x: Array, axes: tuple[str | None, ...]) -> Array:
    """A parameter where layers compute with it.

    Storage is split over 'fsdp', work is not. Left to itself the partitioner
    splits lookups and layers over both and moves whole activations instead.
    """
    stored = self._spec(axes, x.shape)
    return self._put(x, [None if a == "fsdp" else a for a in stored])

  def stored(self, x: Array, axes: tuple[str | None, ...]) -> Array:
    return self._put(x, self._spec(axes, x.shape))

  @property
  def splits_positions(self) -> bool:
    """Whether a row lies on several devices."""
    return splits_positions(self.mesh)

  def spread(self, x: Array, axes: tuple[str | None, ...]) -> Array:
    """What belongs to the questions of a batch, by 'rows' and 'positions'."""
    put = {"rows": BATCH_AXES, **dict(rules_of(self.preset, self.mesh))}
    spec: list[Any] = []
    for name, size in zip(axes, x.shape, strict=True):
      where = put.get(name or "", ())
      where = (where,) if isinstance(where, str) else where
      there = tuple(axis for axis in where if axis in self.mesh.shape)
      parts = math.prod(self.mesh.shape[axis] for axis in there)
      spec.append(None if size % parts else there)
    return self._put(x, spec)

  def _spec(
    self, axes: tuple[str | None, ...], shape: tuple[int, ...]
  ) -> PartitionSpec:
    axes = tuple(None if name in self.whole else name for name in axes)
    return spec_for(axes, shape, self.preset, self.mesh)

  def _put(self, x: Array, spec: Iterable[Any]) -> Array:
    place = NamedSharding(self.mesh, PartitionSpec(*spec))
    return jax.lax.with_sharding_constraint(x, place)


def splits_positions(mesh: Mesh) -> bool:
  """Whether a row of a batch lies on several devices."""
  return mesh.shape.get("sequence", 1) > 1


def _presets_with(mesh_axis: str) -> str:
  return "' or '".join(
    name
    for name, rules in PRESETS.items()
    if mesh_axis in {axis for _, axis in rules}
  )
