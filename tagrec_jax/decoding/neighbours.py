"""Products whose tags are known vote for the tags of one that is like them."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from tagrec_jax.decoding import topk
from tagrec_jax.layers.unit import unit

_NO_VOTE = 1e-3
"""A share of votes that every tag has, so that none is impossible."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Neighbours:
  """What a network has seen stays as it was, not only what it made of it.

  Few weights have to serve all products, so that what is said of a few is
  lost in what is said of many. Here the products that a network holds for most
  alike tell their tags themselves.

  Source: k nearest neighbours of what a network makes of its inputs, asked
  together with it, as Khandelwal et al. 2020 do with words (kNN-LM). They mix
  probabilities; here logarithms are mixed, as those of `together` are.

  Attributes:
    vectors_ND: of length 1, of the products that vote.
    tags_NM: the tags of each, none twice; negative ones are none.
    size: tags, C.
    count: how many products vote for one.
    temperature: a vote weighs exp(cosine / temperature).
  """

  vectors_ND: Float[Array, "N D"]
  tags_NM: Int[Array, "N M"]
  size: int = dataclasses.field(metadata={"static": True})
  count: int = dataclasses.field(metadata={"static": True})
  temperature: float = dataclasses.field(metadata={"static": True})

  @classmethod
  def of(
    cls,
    vectors_ND: Float[Array, "N D"],
    tags_NM: Int[Array, "N M"],
    *,
    size: int,
    count: int,
    temperature: float,
  ) -> Neighbours:
    """Remembers products by their vectors, of any length."""
    return cls(unit(vectors_ND), tags_NM, size, count, temperature)

  def votes(self, query_BD: Float[Array, "B D"]) -> Float[Array, "B C"]:
    """The share of each tag among the votes for it; 0 where nobody votes.

    Holds the cosines of all pairs, [B, N].

    Args:
      query_BD: in the place of `vectors_ND`, of any length.
    """
    cosine_BN = jnp.einsum(
      "BD,ND->BN",
      unit(query_BD),
      self.vectors_ND,
      preferred_element_type=jnp.float32,
    )
    # Who has no tags, has no vote.
    tagged_N = (self.tags_NM >= 0).any(1)
    cosine_BN = jnp.where(tagged_N[None], cosine_BN, topk.NEVER)
    rows_BK, cosine_BK = topk.largest(topk.comparable(cosine_BN), self.count)
    best_B1 = jnp.maximum(cosine_BK[:, :1], -1.0)
    weight_BK = jnp.exp((cosine_BK - best_B1) / self.temperature)
    tags_BKM = self.tags_NM[jnp.maximum(rows_BK, 0)]
    given_BKM = (tags_BKM >= 0) & (rows_BK >= 0)[..., None]
    # A negative index would be the last tag: it is put beyond.
    places_BKM = jnp.where(given_BKM, tags_BKM, self.size)
    votes_BC = (
      jnp.zeros((len(query_BD), self.size))
      .at[jnp.arange(len(query_BD))[:, None, None], places_BKM]
      .add(weight_BK[..., None], mode="drop")
    )
    return votes_BC / jnp.maximum(votes_BC.sum(1, keepdims=True), 1e-12)


def asked_too(
  scores_BC: Float[Array, "B C"],
  votes_BC: Float[Array, "B C"],
  weight: float,
) -> Float[Array, "B C"]:
  """(1 - weight) · log softmax(scores) + weight · log(votes + a little)."""
  learned_BC = (1 - weight) * jax.nn.log_softmax(scores_BC)
  return learned_BC + weight * jnp.log(votes_BC + _NO_VOTE)
