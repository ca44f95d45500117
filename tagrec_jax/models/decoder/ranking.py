"""Ask the memory for a ranked list: a query against a catalogue of vectors."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.layers import param
from tagrec_jax.layers.embed import sums
from tagrec_jax.layers.linear import Linear
from tagrec_jax.layers.noise import Noise
from tagrec_jax.layers.positions import pick
from tagrec_jax.layers.unit import unit


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Entries:
  """The vectors and biases of a catalogue, the same for all questions.

  Vectors are float32, or their gradient would be rounded.
  """

  vectors_CD: Float[Array, "C D"]
  bias_C: Float[Array, "C"]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Query:
  """Scores over a catalogue, not yet multiplied out.

  score[b, t, c] = query[b, t] · vectors[c] + bias[c], a product in the dtype of
  the query; objectives and top-k search tile it, so that no [B, T, C] array has
  to exist.

  With several interests, those of one position follow one another along T, and
  the score is the highest that one of them gives.
  """

  query_BTD: Float[Array, "B T D"]
  vectors_CD: Float[Array, "C D"]
  bias_C: Float[Array, "C"]
  interests: int = dataclasses.field(default=1, metadata={"static": True})

  def best_for(self, targets_BTM: Int[Array, "B T M"]) -> Query:
    """Of each position the one interest that scores its targets best.

    The choice is not differentiated: a target teaches the interest it is near
    to, and no other.

    Args:
      targets_BTM: entries of the catalogue, negative ones are none; T counts
        positions.
    """
    if self.interests == 1:
      return self
    B, R, D = self.query_BTD.shape
    query_BTID = self.query_BTD.reshape(B, -1, self.interests, D)
    wanted_BTD = sums(self.vectors_CD, targets_BTM, param.CATALOGUE)
    fit_BTI = jnp.einsum(
      "BTID,BTD->BTI", query_BTID, wanted_BTD.astype(query_BTID.dtype)
    )
    best_BT = jnp.argmax(jax.lax.stop_gradient(fit_BTI), axis=2)
    rows_BT = jnp.arange(0, R, self.interests)[None] + best_BT
    return Query(pick(self.query_BTD, rows_BT), self.vectors_CD, self.bias_C)


def joined(one: Query, other: Query) -> Query:
  """What scores the sum of both, over the same catalogue."""
  return Query(
    jnp.concatenate([one.query_BTD, other.query_BTD], axis=-1),
    jnp.concatenate([one.vectors_CD, other.vectors_CD], axis=-1),
    one.bias_C + other.bias_C,
  )


def scores(query: Query) -> Float[Array, "B C"]:
  """The scores of the whole catalogue at the first position of each row."""
  if query.interests > 1:
    each = [
      scores(dataclasses.replace(query, query_BTD=rows_B1D, interests=1))
      for rows_B1D in jnp.split(
        query.query_BTD[:, : query.interests], query.interests, axis=1
      )
    ]
    return functools.reduce(jnp.maximum, each)
  query_BD = query.query_BTD[:, 0]
  scores_BC = jnp.einsum(
    "BD,CD->BC",
    query_BD,
    query.vectors_CD.astype(query_BD.dtype),
    preferred_element_type=jnp.float32,
  )
  return scores_BC + query.bias_C[None]


@runtime_checkable
class Catalogue(Protocol):
  """What is ranked, and how it is asked for."""

  def ask(self, memory_BTD: Array, /) -> Array:
    """The query of each memory."""
    ...

  def entries(self, content: Any, noise: Noise | None, /) -> Entries:
    """What the content of its entries makes of them."""
    ...


class TiedCatalogue(nnx.Module):
  """The product vectors that read the history; the interest itself asks."""

  def ask(self, memory_BTD: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
    return memory_BTD

  def entries(
    self, content: Float[Array, "C D"], noise: Noise | None
  ) -> Entries:
    """Of the product vectors."""
    del noise
    return Entries(content, jnp.zeros(content.shape[:1]))


class OwnCatalogue(nnx.Module):
  """A table of vectors, a query map and a bias that only the ranking uses.

  Args:
    prior: [C] where the bias starts; None for 0.
    mapped: False where the memory itself asks.
  """

  def __init__(
    self,
    settings: ModelSettings,
    size: int,
    axis: str,
    rngs: nnx.Rngs,
    prior: np.ndarray | None = None,
    *,
    mapped: bool = True,
  ):
    self.map = query_map(settings, rngs) if mapped else None
    width = settings.width
    # Of tags, every step reads all.
    make = param.long_table if axis == "products" else param.table
    self.table = make(size, width, (axis, "embed"), rngs)
    self.bias = param.of(np.zeros(size) if prior is None else prior, (axis,))

  def ask(self, memory_BTD: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
    return self.map(memory_BTD) if self.map else memory_BTD

  def entries(self, content: Any, noise: Noise | None) -> Entries:
    """The table, whatever the content."""
    del content, noise
    return Entries(self.table[...], self.bias[...])


def query_map(settings: ModelSettings, rngs: nnx.Rngs) -> Linear:
  """What makes a query of a memory."""
  return Linear(
    settings.width,
    settings.width,
    ("embed", None),
    rngs,
    dtype=jnp.dtype(settings.compute_dtype),
  )


class RankingDecoder(nnx.Module):
  """A query for each interest at each position.

  Scores by dot product or cosine.
  """

  def __init__(self, settings: ModelSettings, catalogue: Catalogue):
    self.interests = settings.interests
    self.cosine = settings.score == "cosine"
    self.temperature = settings.temperature
    self.catalogue = catalogue

  def entries(self, content: Any, noise: Noise | None = None) -> Entries:
    """The catalogue, made of what its entries are made of.

    Args:
      content: product vectors, arrays of tag features, or None, see the
        catalogues.
      noise: while training.
    """
    entries = self.catalogue.entries(content, noise)
    if self.cosine:
      return Entries(unit(entries.vectors_CD), entries.bias_C)
    return entries

  def ask(self, memory_BTD: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
    """What of each interest is multiplied with the vectors of entries."""
    query_BTD = self.catalogue.ask(memory_BTD)
    if self.cosine:
      query_BTD = unit(query_BTD)
    return (query_BTD / self.temperature).astype(memory_BTD.dtype)

  def __call__(
    self, memory_BTD: Float[Array, "B T D"], entries: Entries
  ) -> Query:
    query_BTD = self.ask(memory_BTD)
    return Query(query_BTD, entries.vectors_CD, entries.bias_C, self.interests)
