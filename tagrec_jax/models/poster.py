"""The encoder-decoder for posts: who tags what, and when → which tags."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

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
from tagrec_jax.models.decoder.ranking import Entries, Query, RankingDecoder
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
    events: EventReader,
    history: Callable[..., nnx.Module],
    max_positions: int,
    rngs: nnx.Rngs,
  ):
    width, dtype = settings.width, jnp.dtype(settings.compute_dtype)
    self.events = events
    self.given = Classes(num_tags, width, rngs, "vocabulary")
    self.history = history(settings, max_positions, rngs)
    self.norm = param.layer_norm(width, rngs, dtype=dtype)
    self.attention = MemoryAttention(width, settings.heads, rngs, dtype=dtype)
    self.decay = param.zeros((settings.heads,), (None,))

  def __call__(
    self,
    query_BTD: Float[Array, "B T D"],
    batch: Batch,
    vectors_CD: Float[Array, "C D"],
    earlier_BTS: Bool[Array, "B T S"],
    log_ages_BTS: Float[Array, "B T S"],
    noise: Noise | None,
  ) -> Float[Array, "B T D"]:
    """Zero where there is no earlier post."""
    x_BSD = self.events(vectors_CD, batch["history_ids"])
    x_BSD = x_BSD + self.given(batch["history_tags"])
    memory_BSD = self.history(
      x_BSD, batch["history_segments"], batch["history_positions"], noise
    )
    decay_1N11 = self.decay[...][None, :, None, None]
    found_BTD = self.attention(
      self.norm(query_BTD),
      self.attention.keep(memory_BSD),
      earlier_BTS,
      -decay_1N11 * log_ages_BTS[:, None],
    )
    any_BT1 = earlier_BTS.any(axis=-1, keepdims=True)
    return jnp.where(any_BT1, found_BTD, 0.0)


class Poster(nnx.Module):
  """Product, person and moment ask for tags, new or given before.

  The query is the vector of the product asked about and that of the person,
  and, if wanted, what `Recall` finds in earlier posts; the moment corrects it.
  It asks the catalogue of tags, and `CopyHead` for tags that were given before.

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
    width = settings.width
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
        events=self.events,
        history=history,
        max_positions=max_positions,
        rngs=rngs,
      )
      if settings.recall
      else None
    )
    self.context = ContextCorrection(settings, spec, rngs)
    self.tags = RankingDecoder(
      settings,
      tag_catalogue(
        settings, spec, self.products.encoders, rngs, prior, mapped=False
      ),
    )
    self.copies = CopyHead(width, rngs)

  def __call__(
    self,
    batch: Batch,
    vectors_CD: Float[Array, "C D"],
    entries: Entries,
    noise: Noise | None = None,
    asked_BT: Int[Array, "B T"] | None = None,
  ) -> Asked:
    """Asks at every position, or at some, from earlier posts alone.

    Args:
      batch: of data/posts.py.
      vectors_CD: of products, as `products.vectors` makes them.
      entries: of `tags`.
      noise: dropout while training, None to answer.
      asked_BT: the positions asked at; None for all, T = S.
    """
    earlier_BTS = _earlier(batch, asked_BT)
    log_ages_BTS = _log_ages(batch, asked_BT)
    query_BTD = self._subject(batch, vectors_CD, noise, asked_BT)
    if self.recall is not None:
      found_BTD = self.recall(
        query_BTD, batch, vectors_CD, earlier_BTS, log_ages_BTS, noise
      )
      query_BTD = query_BTD + dropout(found_BTD, self.rate, noise)
    query_BTD = self.context(query_BTD, batch, noise, asked_BT)
    return Asked(
      self.tags(query_BTD, entries),
      self.copies(query_BTD, log_ages_BTS, earlier_BTS, batch, asked_BT),
    )

  def _subject(
    self,
    batch: Batch,
    vectors_CD: Float[Array, "C D"],
    noise: Noise | None,
    asked_BT: Int[Array, "B T"] | None,
  ) -> Float[Array, "B T D"]:
    """Which product, and who."""
    query_BTD = self.events(vectors_CD, pick(batch["history_ids"], asked_BT))
    if self.people is not None:
      person_BTD = self.people(pick(batch["person_ids"], asked_BT))
      if noise is not None and self.missing_rate:
        # As with features of products: others have to serve without it.
        there_BT1 = noise.keep((*person_BTD.shape[:2], 1), self.missing_rate)
        person_BTD = jnp.where(there_BT1, person_BTD, 0.0)
      query_BTD = query_BTD + person_BTD
    return dropout(query_BTD, self.rate, noise)


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
