"""Events hidden in a history, to be told from those before and after them.

Place t reads the event that it asks for elsewhere, unless that is hidden; then
it is asked for. So moment and person of a place are those of its own event, as
in every other question, and the losses are the same.

Source: the Cloze task of BERT4Rec (Sun et al. 2019, section 3.4). Where tags
are asked for too, those of a hidden event are its masked attributes, as S3-Rec
pretrains (Zhou et al. 2020, section 4.2).
"""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.layers.noise import Noise

Batch = Mapping[str, Array]


def hide(batch: Batch, rate: float, noise: Noise) -> dict[str, Array]:
  """Hides each event with a probability and asks for what is hidden.

  Args:
    batch: history_ids, target_ids, int32 [B, S].
  """
  ids_BS = batch["target_ids"]
  hidden_BS = ~noise.keep(ids_BS.shape, rate)
  return {
    **batch,
    "history_ids": jnp.where(hidden_BS, UNKNOWN, ids_BS),
    "target_ids": jnp.where(hidden_BS, ids_BS, UNKNOWN),
  }


def hide_next(batch: Batch) -> dict[str, Array]:
  """A question about the next event as one about a hidden last event.

  Args:
    batch: history_ids, int32 [B, S], one person a row; last, int32 [B].
  """
  ids_BS = jnp.roll(batch["history_ids"], -1, axis=1)
  known_BS = jnp.arange(ids_BS.shape[1])[None] < batch["last"][:, None]
  return {**batch, "history_ids": jnp.where(known_BS, ids_BS, UNKNOWN)}
