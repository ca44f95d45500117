"""A history with something missing, from which the same interest should come.

What happens to a batch follows from its noise alone, and so from the seed and
the step. Source: crop, mask and reorder of CL4SRec, Xie et al. 2020, section
3.3, here of packed rows in which every position is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tagrec_jax.core.axes import BEGIN, UNKNOWN
from tagrec_jax.layers.noise import Noise

Batch = Mapping[str, Array]


def view(
  batch: Batch, names: Sequence[str], rate: float, noise: Noise
) -> dict[str, Array]:
  """The batch after all the named changes, in their order.

  Args:
    batch: history_ids, history_segments, history_positions, int32 [B, S].
    names: of VIEWS.
    rate: the fraction of each history that a change touches, at most or on
      average.
  """
  for name in names:
    batch = {**batch, **VIEWS[name](batch, rate, noise)}
  return dict(batch)


def _mask(batch: Batch, rate: float, noise: Noise) -> dict[str, Array]:
  """Products of some events are not known; one event of each person stays."""
  ids_BS, positions_BS = batch["history_ids"], batch["history_positions"]
  keep_BS = noise.keep(ids_BS.shape, rate) | (positions_BS == 0)
  return {"history_ids": jnp.where(keep_BS, ids_BS, UNKNOWN)}


def _crop(batch: Batch, rate: float, noise: Noise) -> dict[str, Array]:
  """The oldest events of each history never were: their places are padding."""
  segments_BS, positions_BS = (
    batch["history_segments"],
    batch["history_positions"],
  )
  most_BS = rate * _lengths(batch)
  cut_BS = _of_person(noise.uniform(segments_BS.shape, 0.0, 1.0), positions_BS)
  cut_BS = jnp.floor(cut_BS * most_BS).astype(jnp.int32)
  there_BS = (segments_BS > 0) & (positions_BS >= cut_BS)
  return {
    "history_ids": jnp.where(there_BS, batch["history_ids"], UNKNOWN),
    "history_segments": jnp.where(there_BS, segments_BS, 0),
    "history_positions": jnp.where(there_BS, positions_BS - cut_BS, 0),
  }


def _reorder(batch: Batch, rate: float, noise: Noise) -> dict[str, Array]:
  """Events move by up to a part of their history; BEGIN stays the first."""
  ids_BS, positions_BS = batch["history_ids"], batch["history_positions"]
  reach_BS = rate * _lengths(batch)
  moved_BS = noise.uniform(ids_BS.shape, 0.0, 1.0) * reach_BS
  moved_BS = jnp.where(ids_BS == BEGIN, 0.0, moved_BS)
  # Segments ascend along a row, padding comes last: nobody gets past another.
  segments_BS = batch["history_segments"]
  last_BS = jnp.where(segments_BS > 0, segments_BS, segments_BS.shape[1] + 1)
  order_BS = jnp.lexsort((positions_BS + moved_BS, last_BS), axis=1)
  return {"history_ids": jnp.take_along_axis(ids_BS, order_BS, axis=1)}


VIEWS: Mapping[str, Callable[[Batch, float, Noise], dict[str, Array]]] = {
  "mask": _mask,
  "crop": _crop,
  "reorder": _reorder,
}
"""name → (batch, rate, noise) → the arrays that it changes."""


def _of_person(
  x_BS: Float[Array, "B S"], positions_BS: Int[Array, "B S"]
) -> Float[Array, "B S"]:
  """At all places of a person the value at the first."""
  first_BS = jnp.arange(x_BS.shape[1])[None] - positions_BS
  return jnp.take_along_axis(x_BS, first_BS, axis=1)


def _lengths(batch: Batch) -> Int[Array, "B S"]:
  """Of the history that each place belongs to."""
  segments_BS = batch["history_segments"]
  same_BSS = segments_BS[:, :, None] == segments_BS[:, None]
  return same_BSS.sum(2)
