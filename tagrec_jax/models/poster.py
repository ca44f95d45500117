"""The encoder-decoder for posts: who tags what, and when → which tags."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.data.spec import ID, Spec
from tagrec_jax.layers import param
from tagrec_jax.layers.embed import Classes
from tagrec_jax.layers.memory_attention import MemoryAttention
from tagrec_jax.layers.noise import Noise, dropout
from tagrec_jax.layers.positions import pick
from tagrec_jax.models.decoder.copies import Copies, CopyHead
from tagrec_jax.models.decoder.ranking import (
  Entries,
  Query,
  RankingDecoder,
  joined,
)
from tagrec_jax.models.decoder.tags import tag_catalogue
from tagrec_jax.models.encoder.context import ContextCorrection
from tagrec_jax.models.encoder.events import EventReader
from tagrec_jax.models.encoder.product import MakeEncoder, ProductEncoder

Batch = Mapping[str, Array]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Asked:
  """An answer that is generated or copied, not yet multiplied out."""

  query: Query
  copies: Copies


class Tags(NamedTuple):
  """The catalogue of tags, as products and as people ask for it."""

  of_product: Entries
  of_person: Entries


class Recall(nnx.Module):
  """What attention finds in a person's earlier posts.

  Every assignment is a token: the vectors of its product and of its tag, read
  by the history encoder. Each head forgets by age^-decay, which is learned.
  """

  def __init__(
    self,
    settings: ModelSettings,
    num_tags: int,
    *,
    history: Callable[..., nnx.Module],
    max_positions: int,
    rngs: nnx.Rngs,
  ):
    width, dtype = settings.width, jnp.dtype(settings.compute_dtype)
    self.given = Classes(num_tags, width, rngs, "vocabulary")
    self.history = history(settings, max_positions, rngs)
    self.norm = param.layer_norm(width, rngs, dtype=dtype)
    self.attention = MemoryAttention(width, settings.heads, rngs, dtype=dtype)
    self.decay = param.zeros((settings.heads,), (None,))
    # What is found is much longer than a vector of a table: it begins at 0.
    self.scale = param.zeros((width,), ("embed",))

  def __call__(
    self,
    query_BTD: Float[Array, "B T D"],
    product_BSD: Float[Array, "B S D"],
    batch: Batch,
    earlier_BTS: Bool[Array, "B T S"],
    log_ages_BTS: Float[Array, "B T S"],
    noise: Noise | None,
  ) -> Float[Array, "B T D"]:
    """Zero where there is no earlier post.

    Args:
      query_BTD: what is asked about.
      product_BSD: the product of each token.
    """
    memory_BSD = self.history(
      product_BSD + self.given(batch["history_tags"]),
      batch["history_segments"],
      batch["history_positions"],
      noise,
    )
    decay_1N11 = self.decay[...][None, :, None, None]
    found_BTD = self.attention(
      self.norm(query_BTD),
      self.attention.keep(memory_BSD),
      earlier_BTS,
      -decay_1N11 * log_ages_BTS[:, None],
    )
    any_BT1 = earlier_BTS.any(axis=-1, keepdims=True)
    return jnp.where(any_BT1, self.scale[...][None, None] * found_BTD, 0.0)


class Poster(nnx.Module):
  """Product, person and moment ask for tags, new or given before.

  Two questions are asked of the catalogue of tags, and their scores added: what
  suits the product, and what suits the person, who is a vector and, if wanted,
  what `Recall` finds in earlier posts, corrected by the moment. `CopyHead` asks
  for tags that were given before.

  Source: the sum of two pairs is that of PITF (Rendle and Schmidt-Thieme 2010).

  Args:
    settings: of the model.
    spec: of the data set.
    num_people: rows of people; those without training posts have none.
    encoders: feature of products → how it is encoded.
    history: makes the history encoder: (settings, max_positions, rngs).
    max_positions: assignments in a history, with the one asked for.
    prior: [T] where the scores of tags start: their log odds in training.
  """

  def __init__(
    self,
    settings: ModelSettings,
    spec: Spec,
    num_people: int,
    *,
    encoders: Mapping[str, MakeEncoder],
    history: Callable[..., nnx.Module],
    max_positions: int,
    prior: np.ndarray,
    rngs: nnx.Rngs,
  ):
    self.width = width = settings.width
    self.rate = settings.dropout
    self.missing_rate = settings.modality_dropout
    self.products = ProductEncoder(settings, spec, encoders, rngs)
    self.people = (
      Classes(num_people, width, rngs, "people")
      if ID in settings.person
      else None
    )
    self.events = EventReader(width, rngs)
    self.recall = (
      Recall(
        settings,
        spec.num_tags,
        history=history,
        max_positions=max_positions,
        rngs=rngs,
      )
      if settings.recall
      else None
    )
    self.context = ContextCorrection(settings, spec, rngs)
    self.of_product, self.of_person = (
      RankingDecoder(
        settings,
        tag_catalogue(
          settings, spec, self.products.encoders, rngs, start, mapped=False
        ),
      )
      for start in (prior, None)
    )
    self.copies = CopyHead(2 * width, rngs)

  def entries(
    self, tag: Mapping[str, Array], noise: Noise | None = None
  ) -> Tags:
    """What products and people ask for.

    Args:
      tag: feature of tags → array [C, ...].
      noise: while training.
    """
    return Tags(
      self.of_product.entries(tag, noise), self.of_person.entries(tag, noise)
    )

  def __call__(
    self,
    batch: Batch,
    vectors_CD: Float[Array, "C D"],
    tags: Tags,
    noise: Noise | None = None,
    asked_BT: Int[Array, "B T"] | None = None,
  ) -> Asked:
    """Asks at every position, or at some, from earlier posts alone.

    Args:
      batch: of data/posts.py.
      vectors_CD: of products, as `products.vectors` makes them.
      tags: as `entries` makes them.
      noise: dropout while training, None to answer.
      asked_BT: the positions asked at; None for all, T = S.
    """
    earlier_BTS = _earlier(batch, asked_BT)
    log_ages_BTS = _log_ages(batch, asked_BT)
    product_BSD = self.events(vectors_CD, batch["history_ids"])
    product_BTD = dropout(pick(product_BSD, asked_BT), self.rate, noise)
    person_BTD = self._person(batch, noise, asked_BT)
    if self.recall is not None:
      found_BTD = self.recall(
        product_BTD, product_BSD, batch, earlier_BTS, log_ages_BTS, noise
      )
      person_BTD = person_BTD + found_BTD
    person_BTD = dropout(person_BTD, self.rate, noise)
    person_BTD = self.context(person_BTD, batch, noise, asked_BT)
    both_BTD = jnp.concatenate([product_BTD, person_BTD], axis=-1)
    return Asked(
      joined(
        self.of_product(product_BTD, tags.of_product),
        self.of_person(person_BTD, tags.of_person),
      ),
      self.copies(both_BTD, log_ages_BTS, earlier_BTS, batch, asked_BT),
    )

  def _person(
    self,
    batch: Batch,
    noise: Noise | None,
    asked_BT: Int[Array, "B T"] | None,
  ) -> Float[Array, "B T D"]:
    """Who asks, as far as that is a vector; zero for people not of training."""
    ids_BT = pick(batch["person_ids"], asked_BT)
    if self.people is None:
      return jnp.zeros((*ids_BT.shape, self.width))
    person_BTD = self.people(ids_BT)
    if noise is None or not self.missing_rate:
      return person_BTD
    # As with features of products: others have to serve without it.
    there_BT1 = noise.keep((*ids_BT.shape, 1), self.missing_rate)
    return jnp.where(there_BT1, person_BTD, 0.0)


def _earlier(
  batch: Batch, asked_BT: Int[Array, "B T"] | None
) -> Bool[Array, "B T S"]:
  """Which tokens are of earlier posts of the same person."""
  segments_BS, posts_BS = batch["history_segments"], batch["history_posts"]
  same_BTS = pick(segments_BS, asked_BT)[:, :, None] == segments_BS[:, None]
  before_BTS = posts_BS[:, None] < pick(posts_BS, asked_BT)[:, :, None]
  return same_BTS & before_BTS & (segments_BS > 0)[:, None]


def _log_ages(
  batch: Batch, asked_BT: Int[Array, "B T"] | None
) -> Float[Array, "B T S"]:
  """Log of the seconds between each question and each token, at least one.

  Where times are not known, each post between them counts as a second.
  """
  times_BS, posts_BS = batch["history_times"], batch["history_posts"]
  asked_BT1 = pick(times_BS, asked_BT)[:, :, None]
  known_BTS = (times_BS >= 0)[:, None] & (asked_BT1 >= 0)
  posts_BTS = pick(posts_BS, asked_BT)[:, :, None] - posts_BS[:, None]
  ages_BTS = jnp.where(known_BTS, asked_BT1 - times_BS[:, None], posts_BTS)
  return jnp.log(jnp.maximum(ages_BTS, 1).astype(jnp.float32))
