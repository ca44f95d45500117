"""What a run needs of a task, and a task of its losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from jax.sharding import Mesh, NamedSharding
from jaxtyping import Array

from tagrec_jax.core.sums import Sum
from tagrec_jax.decoding.tiles import Scored
from tagrec_jax.objectives.negatives import Negatives


@runtime_checkable
class Objective(Protocol):
  """A loss over a catalogue; see `Softmax`.

  Attributes:
    negatives: how many entries are drawn to stand for the catalogue; 0 where
      all of it takes part.
  """

  @property
  def negatives(self) -> int: ...

  def __call__(
    self,
    queries_BTD: Array,
    vectors_CD: Array,
    bias_C: Array,
    targets: Array,
    drawn: Negatives | None,
    /,
  ) -> Sum: ...


@runtime_checkable
class Task(Protocol):
  """A model and its losses as pure functions of parameters.

  Attributes:
    axes: the logical axes of each parameter, parallel to what `init` makes.
    reads_all: whether a step reads every product that has a row in a table.
    rows: tells the products that a step reads, see `Recipe`; None where no
      table has rows for products.
  """

  @property
  def axes(self) -> dict[str, Any]: ...

  @property
  def reads_all(self) -> bool: ...

  @property
  def rows(self) -> Callable[..., Array] | None: ...

  def init(self, key: Array, /) -> dict[str, Any]:
    """New parameters: a pure dict of float32 arrays."""
    ...

  def losses(
    self,
    params: dict[str, Any],
    batch: Mapping[str, Array],
    key: Array,
    shard: Array | int,
    rows: Array | None,
    /,
  ) -> dict[str, Sum]:
    """target → its loss over the batch."""
    ...

  def prepare(self, params: dict[str, Any], /) -> Any:
    """What is the same for every batch of questions."""
    ...

  def scores(
    self, ready: Any, batch: Mapping[str, Array], /
  ) -> dict[str, Array]:
    """target → scores [B, C], given what `prepare` made.

    A task may tell more of each question under other names.
    """
    ...


@runtime_checkable
class InTiles(Task, Protocol):
  """A task whose scores need not be whole rows.

  Attributes:
    in_tiles: whether that is so with these settings.
  """

  @property
  def in_tiles(self) -> bool: ...

  def prepare(self, params: dict[str, Any], parts: int = 1, /) -> Any:
    """As that of a task; each catalogue divides evenly into `parts`."""
    ...

  def split(self, ready: Any, parts: NamedSharding, /) -> Any:
    """What was prepared, each catalogue cut as `parts` says."""
    ...

  def queries(
    self, ready: Any, batch: Mapping[str, Array], mesh: Mesh | None, /
  ) -> dict[str, Array]:
    """target → what each question asks, [B, I, D]; `mesh` as in `split`."""
    ...

  def scored(
    self, ready: Any, queries: Mapping[str, Array], mesh: Mesh | None, /
  ) -> dict[str, Scored]:
    """target → queries and the catalogue they ask."""
    ...
