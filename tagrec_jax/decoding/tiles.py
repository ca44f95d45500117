"""Scores of a catalogue a tile at a time, on one device or on many.

A catalogue of C entries and a batch of B questions have an array [B, C] of
scores, which is never made: each pass over a tile of entries takes out of it
what is wanted and forgets it. Where a mesh is named, each of its devices holds
a part of the catalogue and goes through its own tiles for all questions; what
they found is put together at the end. A tile has the same scores in every pass,
so that what one finds and another counts agrees to the last bit.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, Int

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.decoding import topk

TILE = 16384
"""Entries scored at a time; smaller catalogues are scored at once."""

Carry = TypeVar("Carry")


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Scored:
  """score[b, c] = max over i of query[b, i] · vectors[c] + bias[c].

  Attributes:
    query_BID: one for each interest of a question, in the dtype of the product.
    vectors_CD, bias_C: of the catalogue, and of rows that only fill it up so
      that devices have equally many.
    size: entries of the catalogue.
    mesh: whose devices, along all of its axes, each hold a part of the
      catalogue and all questions; None for one device.
  """

  query_BID: Any
  vectors_CD: Any
  bias_C: Any
  size: int = dataclasses.field(metadata={"static": True})
  mesh: Mesh | None = dataclasses.field(default=None, metadata={"static": True})

  @property
  def shape(self) -> tuple[int, int]:
    """(B, entries of the catalogue)."""
    return len(self.query_BID), self.size

  @property
  def rows(self) -> int:
    """Those that are held here."""
    return len(self.vectors_CD)

  @property
  def most(self) -> int:
    """Entries of a tile, at most."""
    return TILE

  def tile(self, start: Array | int, size: int) -> Float[Array, "B X"]:
    """The scores of rows start .. start + size."""
    cut = functools.partial(
      jax.lax.dynamic_slice_in_dim, start_index=start, slice_size=size
    )
    vectors_XD = cut(self.vectors_CD).astype(self.query_BID.dtype)
    bias_1X = cut(self.bias_C)[None]
    each = [
      jnp.einsum(
        "BD,XD->BX",
        self.query_BID[:, interest],
        vectors_XD,
        preferred_element_type=jnp.float32,
      )
      + bias_1X
      for interest in range(self.query_BID.shape[1])
    ]
    return functools.reduce(jnp.maximum, each)

  def whole(self) -> Float[Array, "B C"]:
    """All scores at once, for those who need them."""
    return self.tile(0, self.rows)[:, : self.size]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Whole:
  """Scores [B, C] that exist already, as one tile."""

  scores_BC: Any

  @property
  def shape(self) -> tuple[int, int]:
    """(B, C)."""
    return self.scores_BC.shape

  @property
  def size(self) -> int:
    """All that there are."""
    return self.scores_BC.shape[1]

  rows = most = size
  mesh = None

  def tile(self, start: Array | int, size: int) -> Float[Array, "B C"]:
    """All of them."""
    del start, size
    return self.scores_BC

  def whole(self) -> Float[Array, "B C"]:
    """All of them."""
    return self.scores_BC


Rows = Scored | Whole
"""What can be ranked."""


def rows_of(scores: Any) -> Rows:
  """What is given as rows, or as an array [B, C] of NumPy or JAX."""
  if isinstance(scores, Scored | Whole):
    return scores
  return Whole(jnp.asarray(scores, jnp.float32))


class Part:
  """The rows that this device holds, to be passed over once or more.

  Args:
    axes: of the mesh, over all of whose devices the catalogue is split.
    seen_BH: entries that get another score, padded by UNKNOWN.
    seen_score: which; None leaves them as they are.
  """

  def __init__(
    self,
    rows: Rows,
    axes: tuple[str, ...],
    seen_BH: Int[Array, "B H"],
    seen_score: float | None,
  ):
    self._rows, self.axes = rows, axes
    self._seen_BH, self._seen_score = seen_BH, seen_score
    self._first: Array | int = 0
    if axes:
      self._first = jax.lax.axis_index(axes) * rows.rows

  def fold(
    self,
    step: Callable[[Carry, Array, Array], Carry],
    carry: Carry,
  ) -> Carry:
    """The carry after all tiles.

    Args:
      step: (carry, scores_BX as `comparable` makes them, the catalogue's index
        of the first) → the next carry. What is no entry, and what an earlier
        tile had, scores -inf.
    """
    held, most = self._rows.rows, self._rows.most
    size = min(held, most)
    tiles = -(-held // max(size, 1))
    padded = bool(self.axes) or held != self._rows.size

    def take(number: Array | int, carry: Carry) -> Carry:
      # The last tile begins earlier, so that all are of one size.
      start = jnp.minimum(number * size, held - size)
      begin = self._first + start
      scores_BX = topk.comparable(self._rows.tile(start, size))
      if self._seen_score is not None:
        seen_BH = self._seen_BH - begin
        scores_BX = topk.overwrite(scores_BX, seen_BH, self._seen_score)
      if padded or tiles > 1:
        ids_1X = (begin + jnp.arange(size, dtype=jnp.int32))[None]
        new_1X = ids_1X >= self._first + number * size
        new_1X &= ids_1X < self._rows.size
        scores_BX = jnp.where(new_1X, scores_BX, topk.NEVER)
      return step(carry, scores_BX, begin)

    if tiles <= 1:
      return take(0, carry) if tiles else carry
    return jax.lax.fori_loop(0, tiles, take, carry)


def on_devices(
  work: Callable[..., Any],
  rows: Rows,
  seen_BH: Array,
  seen_score: float | None,
  *others: Array,
) -> Any:
  """What `work` makes of the part of each device, the same on all.

  Args:
    work: (part, *others) → arrays; it has to bring the parts together.
  """
  if rows.mesh is None:
    return work(Part(rows, (), seen_BH, seen_score), *others)
  axes = rows.mesh.axis_names
  whole, split = PartitionSpec(), PartitionSpec(axes)
  held = dataclasses.replace(
    rows, query_BID=whole, vectors_CD=split, bias_C=split
  )

  def here(rows: Scored, seen_BH: Array, *others: Array) -> Any:
    return work(Part(rows, axes, seen_BH, seen_score), *others)

  return jax.shard_map(
    here,
    mesh=rows.mesh,
    in_specs=(held, whole, *[whole] * len(others)),
    out_specs=whole,
    check_vma=False,  # gathered and summed values are the same everywhere
  )(rows, seen_BH, *others)


def rows_at(
  vectors_CD: Float[Array, "C D"], places_N: Int[Array, " N"], mesh: Mesh
) -> Float[Array, "N D"]:
  """Some rows of a catalogue whose parts the devices hold, for all of them.

  A lookup like any other would bring the whole catalogue to every device.

  Args:
    places_N: negative ones get 0.
  """
  axes = mesh.axis_names

  def here(vectors_CD: Array, places_N: Array) -> Array:
    held = len(vectors_CD)
    places_N = places_N - jax.lax.axis_index(axes) * held
    mine_N = (places_N >= 0) & (places_N < held)
    rows_ND = vectors_CD[jnp.clip(places_N, 0, held - 1)]
    return jax.lax.psum(jnp.where(mine_N[:, None], rows_ND, 0), axes)

  return jax.shard_map(
    here,
    mesh=mesh,
    in_specs=(PartitionSpec(axes), PartitionSpec()),
    out_specs=PartitionSpec(),
  )(vectors_CD, places_N)


Best = tuple[Array, Array]
"""ids_BK int32, scores_BK, best first."""


def no_best(batch: int, k: int) -> Best:
  """Of no entries."""
  return (
    jnp.full((batch, k), UNKNOWN, jnp.int32),
    jnp.full((batch, k), topk.NEVER, jnp.float32),
  )


def better(
  best: Best, scores_BX: Array, begin: Array, recall: float = 0.0
) -> Best:
  """The best so far and of one more tile; earlier entries win ties.

  Args:
    recall: of the tile's best that an approximate search is to find; 0 finds
      all.
  """
  k = best[0].shape[1]
  if recall:
    width = min(k, scores_BX.shape[1])
    found_BK, places_BK = jax.lax.approx_max_k(
      scores_BX, width, recall_target=recall
    )
  else:
    places_BK, found_BK = topk.largest(scores_BX, k)
  ids_BK = jnp.where(places_BK < 0, UNKNOWN, places_BK + begin)
  return _best_of(
    jnp.concatenate([best[0], ids_BK], axis=1),
    jnp.concatenate([best[1], found_BK], axis=1),
    k,
  )


def best_of_all(best: Best, axes: tuple[str, ...]) -> Best:
  """What the devices have found, put together axis after axis.

  The last axis is that of neighbours in the catalogue, so ties stay in order.
  """
  k = best[0].shape[1]
  for axis in reversed(axes):
    ids_BX, scores_BX = (
      jax.lax.all_gather(x, axis, axis=1, tiled=True) for x in best
    )
    best = _best_of(ids_BX, scores_BX, k)
  return best


@functools.partial(jax.jit, static_argnames=("k", "recall"))
def top_k(
  rows: Rows, k: int, seen_BH: Int[Array, "B H"], recall: float = 0.0
) -> Best:
  """`topk.top_k` without an array [B, C].

  Args:
    recall: see `better`. On a TPU an approximate search is quicker; elsewhere
      it is exact.
  """

  def work(part: Part) -> Best:
    step = functools.partial(better, recall=recall)
    best = part.fold(step, no_best(rows.shape[0], k))
    return best_of_all(best, part.axes)

  return on_devices(work, rows, seen_BH, topk.NEVER)


def _best_of(ids_BX: Array, scores_BX: Array, k: int) -> Best:
  places_BK, best_BK = topk.largest(scores_BX, k)
  ids_BK = jnp.take_along_axis(ids_BX, jnp.maximum(places_BK, 0), axis=1)
  return jnp.where(places_BK < 0, UNKNOWN, ids_BK), best_BK
