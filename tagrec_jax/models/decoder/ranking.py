"""Ask the memory for a ranked list: a query against a catalogue of vectors."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.layers import param
from tagrec_jax.layers.linear import Linear


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Query:
  """Scores over a catalogue, not yet multiplied out.

  score[b, t, c] = query[b, t] · vectors[c] + bias[c], a product in the dtype of
  the query; objectives and top-k search tile it, so that no [B, T, C] array has
  to exist. Vectors are float32, or their gradient would be rounded.
  """

  query_BTD: Float[Array, "B T D"]
  vectors_CD: Float[Array, "C D"]
  bias_C: Float[Array, "C"]


def scores(query: Query) -> Float[Array, "B C"]:
  """The scores of the whole catalogue at the first position of each row."""
  query_BD = query.query_BTD[:, 0]
  scores_BC = jnp.einsum(
    "BD,CD->BC",
    query_BD,
    query.vectors_CD.astype(query_BD.dtype),
    preferred_element_type=jnp.float32,
  )
  return scores_BC + query.bias_C[None]


def _unit(x: Float[Array, "*any D"]) -> Float[Array, "*any D"]:
  x = x.astype(jnp.float32)
  return x * jax.lax.rsqrt((x * x).sum(-1, keepdims=True) + 1e-12)


class OwnCatalogue(nnx.Module):
  """A table of vectors, a query map and a bias that only the ranking uses."""

  def __init__(
    self, settings: ModelSettings, size: int, axis: str, rngs: nnx.Rngs
  ):
    width = settings.width
    self.map = Linear(
      width,
      width,
      ("embed", None),
      rngs,
      dtype=jnp.dtype(settings.compute_dtype),
    )
    self.table = param.table(size, width, (axis, "embed"), rngs)
    self.bias = param.zeros((size,), (axis,))

  def __call__(self, memory_BTD: Float[Array, "B T D"]) -> Query:
    return Query(self.map(memory_BTD), self.table[...], self.bias[...])


class RankingDecoder(nnx.Module):
  """One interest query for each position; scores by dot product or cosine.

  Args:
    size: of the catalogue, C.
    axis: logical name of the catalogue's axis.
    tied: rank with the product vectors that read the history, and ask with
      the interest itself.
  """

  def __init__(
    self,
    settings: ModelSettings,
    size: int,
    axis: str,
    tied: bool,
    rngs: nnx.Rngs,
  ):
    self.cosine = settings.score == "cosine"
    self.temperature = settings.temperature
    self.own = None if tied else OwnCatalogue(settings, size, axis, rngs)

  def __call__(
    self,
    memory_BTD: Float[Array, "B T D"],
    product_CD: Float[Array, "C D"],
  ) -> Query:
    dtype = memory_BTD.dtype
    if self.own is None:
      query = Query(memory_BTD, product_CD, jnp.zeros(product_CD.shape[:1]))
    else:
      query = self.own(memory_BTD)
    query_BTD, vectors_CD = query.query_BTD, query.vectors_CD
    if self.cosine:
      query_BTD, vectors_CD = _unit(query_BTD), _unit(vectors_CD)
    query_BTD = (query_BTD / self.temperature).astype(dtype)
    return Query(query_BTD, vectors_CD, query.bias_C)
