"""How long before the moment asked an event was, as a time-aware position."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.layers import param
from tagrec_jax.layers.embed import lookup

BUCKETS = 32
"""0 for less than a second, then 1 + floor(log2(seconds))."""


def ages(
  asked: Int[Array, "..."], event: Int[Array, "..."]
) -> Int[Array, "..."]:
  """The bucket of each event's age; UNKNOWN where a time is not known.

  Args:
    asked, event: seconds from a common start, UNKNOWN or at least 0.
  """
  known = (asked >= 0) & (event >= 0)
  seconds = jnp.where(known, jnp.maximum(asked - event, 0), 0)
  # The length of a number in bits is exact, as a logarithm in float32 is not.
  bucket = 32 - jax.lax.clz(seconds.astype(jnp.int32))
  return jnp.where(known, bucket, UNKNOWN)


class EventAges(nnx.Module):
  """A vector for how long after an event the question that reads it is asked.

  The question about event j reads event j - 1, so recurrent networks are told
  the gaps of a history one by one.
  """

  def __init__(self, width: int, rngs: nnx.Rngs):
    self.table = param.table(BUCKETS, width, (None, "embed"), rngs)

  def __call__(
    self, asked_BS: Int[Array, "B S"], times_BS: Int[Array, "B S"]
  ) -> Float[Array, "B S D"]:
    return lookup(self.table[...], ages(asked_BS, times_BS))


class AttentionAges(nnx.Module):
  """What is added to the attention that a question pays to an event.

  A learned number for each head and age, 0 at first; events of unknown age get
  none. Source: relative attention bias by time, as in HSTU (Zhai et al. 2024,
  section 3.2), with the moment asked instead of the newest event.
  """

  def __init__(self, heads: int):
    self.table = param.zeros((BUCKETS, heads), (None, None))

  def __call__(
    self, asked_BT: Int[Array, "B T"], times_BS: Int[Array, "B S"]
  ) -> Float[Array, "B N T S"]:
    bucket_BTS = ages(asked_BT[:, :, None], times_BS[:, None])
    return jnp.moveaxis(lookup(self.table[...], bucket_BTS), 3, 1)
