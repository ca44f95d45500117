"""Tags that need not be made up: the person's own, and the product's."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from tagrec_jax.layers import param
from tagrec_jax.layers.linear import Linear
from tagrec_jax.layers.positions import pick

NEVER = -1e30
"""A log probability of 0 that is finite, so that its gradient is too."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Copies:
  """What an answer may copy at each of T positions of a row.

  Attributes:
    log_generated_BT: log probability that nothing is copied.
    own_BS: int32, the person's tags, UNKNOWN where there is none.
    log_own_BTS: log probability that each of them is copied.
    product_BTG: int32, the tags of the product asked about.
    log_product_BTG: log probability that each of them is copied.
  """

  log_generated_BT: Float[Array, "B T"]
  own_BS: Int[Array, "B S"]
  log_own_BTS: Float[Array, "B T S"]
  product_BTG: Int[Array, "B T G"]
  log_product_BTG: Float[Array, "B T G"]

  def log_of(self, targets_BT: Int[Array, "B T"]) -> Float[Array, "B T"]:
    """Log probability that the answer is copied and is the target."""
    target_BT1 = targets_BT[:, :, None]
    own_BTS = jnp.where(
      self.own_BS[:, None] == target_BT1, self.log_own_BTS, NEVER
    )
    product_BTG = jnp.where(
      self.product_BTG == target_BT1, self.log_product_BTG, NEVER
    )
    return jnp.logaddexp(_log_sum(own_BTS), _log_sum(product_BTG))

  def first(
    self,
  ) -> tuple[Float[Array, " B"], Int[Array, "B X"], Float[Array, "B X"]]:
    """At the first position: `log_generated`, all tags, and their logs."""
    tags_BX = jnp.concatenate([self.own_BS, self.product_BTG[:, 0]], axis=1)
    log_BX = jnp.concatenate(
      [self.log_own_BTS[:, 0], self.log_product_BTG[:, 0]], axis=1
    )
    return self.log_generated_BT[:, 0], tags_BX, log_BX


class CopyHead(nnx.Module):
  """Whether to copy, and which tag, of the person or of the product.

  Of the person's earlier tags each weighs age^-decay, as in base-level
  learning, and of the product's count^power; decay and power are learned. Which
  of the three answers (generated, own, the product's) is a softmax of what the
  query says and of how many tags there are.

  Source: activation by age, Anderson and Schooler 1991; copying, See et al.
  2017, eq. 8 and 9.
  """

  def __init__(self, width: int, rngs: nnx.Rngs):
    self.decay = param.of(np.array(0.5), ())
    self.power = param.of(np.array(1.0), ())
    self.gate = Linear(
      width, 3, ("embed", None), rngs, dtype=jnp.float32, zero=True
    )
    self.gate_of_counts = Linear(
      2, 3, (None, None), rngs, dtype=jnp.float32, zero=True
    )

  def __call__(
    self,
    query_BTD: Float[Array, "B T D"],
    log_ages_BTS: Float[Array, "B T S"],
    earlier_BTS: Bool[Array, "B T S"],
    batch: Mapping[str, Array],
    asked_BT: Int[Array, "B T"] | None,
  ) -> Copies:
    """What may be copied where something is asked.

    Args:
      query_BTD: what the answer will be generated from.
      log_ages_BTS: log of how long before each question each source was.
      earlier_BTS: which sources are of earlier posts of the same person.
      batch: history_tags, product_tags, product_tag_counts of all positions.
    """
    tags_BS = batch["history_tags"]
    own_BTS = earlier_BTS & (tags_BS >= 0)[:, None]
    product_BTG = pick(batch["product_tags"], asked_BT)
    counts_BTG = pick(batch["product_tag_counts"], asked_BT)
    own_count_BT = own_BTS.sum(-1)
    product_count_BT = counts_BTG.sum(-1)
    counts_BT2 = jnp.log1p(
      jnp.stack([own_count_BT, product_count_BT], axis=-1).astype(jnp.float32)
    )
    gate_BT3 = self.gate(query_BTD.astype(jnp.float32))
    gate_BT3 = gate_BT3 + self.gate_of_counts(counts_BT2)
    # Generating is always possible.
    there_BT3 = jnp.concatenate(
      [jnp.ones_like(counts_BT2[..., :1], bool), counts_BT2 > 0], axis=-1
    )
    log_gate_BT3 = jax.nn.log_softmax(jnp.where(there_BT3, gate_BT3, NEVER))
    log_own_BTS = _log_softmax(-self.decay[...] * log_ages_BTS, own_BTS)
    log_counts_BTG = jnp.log(jnp.maximum(counts_BTG, 1).astype(jnp.float32))
    log_product_BTG = _log_softmax(
      self.power[...] * log_counts_BTG, product_BTG >= 0
    )
    return Copies(
      log_gate_BT3[..., 0],
      tags_BS,
      log_own_BTS + log_gate_BT3[..., 1, None],
      product_BTG,
      log_product_BTG + log_gate_BT3[..., 2, None],
    )


def _log_softmax(
  logits: Float[Array, "B T X"], there: Bool[Array, "B T X"]
) -> Float[Array, "B T X"]:
  """Over those that are there; `NEVER` for others, and where none is."""
  logits = jax.nn.log_softmax(jnp.where(there, logits, NEVER))
  return jnp.where(there, logits, NEVER)


def _log_sum(logits: Float[Array, "B T X"]) -> Float[Array, "B T"]:
  return jax.nn.logsumexp(logits, axis=-1)
