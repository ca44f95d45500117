"""The encoder-decoder: history, product and moment in, ranked lists out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flax import nnx
from jaxtyping import Array, Float, Int

from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.data.spec import Spec
from tagrec_jax.layers.noise import Noise
from tagrec_jax.models.decoder.ranking import (
  Entries,
  OwnCatalogue,
  Query,
  RankingDecoder,
  TiedCatalogue,
)
from tagrec_jax.models.decoder.tags import tag_catalogue
from tagrec_jax.models.encoder.ages import AttentionAges, EventAges
from tagrec_jax.models.encoder.context import ContextCorrection
from tagrec_jax.models.encoder.events import EventReader
from tagrec_jax.models.encoder.interests import Interests, asked_of_each
from tagrec_jax.models.encoder.product import MakeEncoder, ProductEncoder

Batch = Mapping[str, Array]


class Recommender(nnx.Module):
  """One memory, two questions: which product next, with which tags.

  Args:
    settings: of the model.
    spec: of the data set.
    encoders: feature of products → how it is encoded.
    history: makes the history encoder: (settings, max_positions, rngs).
    max_positions: events in a history, with the token that begins it.
    targets: what is asked: 'items', 'tags' or both.
  """

  def __init__(
    self,
    settings: ModelSettings,
    spec: Spec,
    *,
    encoders: Mapping[str, MakeEncoder],
    history: Callable[..., nnx.Module],
    max_positions: int,
    targets: tuple[str, ...],
    rngs: nnx.Rngs,
  ):
    self.products = ProductEncoder(settings, spec, encoders, rngs)
    self.events = EventReader(settings.width, rngs)
    self.history = history(settings, max_positions, rngs)
    self.event_ages = EventAges(settings.width, rngs) if settings.ages else None
    self.attention_ages = (
      AttentionAges(settings.heads)
      if settings.ages and getattr(self.history, "attends", False)
      else None
    )
    self.interests = (
      Interests(settings, rngs) if settings.interests > 1 else None
    )
    self.context = ContextCorrection(settings, spec, rngs)
    catalogues = {
      "items": lambda: (
        TiedCatalogue()
        if settings.tie_products
        else OwnCatalogue(settings, spec.num_items, "products", rngs)
      ),
      "tags": lambda: tag_catalogue(
        settings, spec, self.products.encoders, rngs
      ),
    }
    self.targets = targets
    self.decoders = nnx.List(
      [RankingDecoder(settings, catalogues[name]()) for name in targets]
    )

  def __call__(
    self,
    batch: Batch,
    vectors_CD: Float[Array, "C D"],
    noise: Noise | None = None,
    asked_BT: Int[Array, "B T"] | None = None,
    tag: Mapping[str, Array] | None = None,
  ) -> dict[str, Query]:
    """Asks at every position, or at some.

    Args:
      batch: history_ids, history_segments, history_positions, the context
        features and, if the model reads ages, history_times and asked_times,
        each int32 [B, S].
      vectors_CD: of the catalogue, as `products.vectors` makes them.
      noise: dropout while training, None to answer.
      asked_BT: the positions asked at; None for all, T = S.
      tag: feature of tags → array [C, ...], where tags are made of them.

    Returns:
      target → the query at each position asked.
    """
    memory_BRD = self.encode(batch, vectors_CD, noise, asked_BT)
    return self.queries(memory_BRD, vectors_CD, noise, tag)

  def queries(
    self,
    memory_BRD: Float[Array, "B R D"],
    vectors_CD: Float[Array, "C D"],
    noise: Noise | None = None,
    tag: Mapping[str, Array] | None = None,
  ) -> dict[str, Query]:
    """What the interests ask, see `__call__`; R rows as `encode` gives them."""
    entries = self.entries(vectors_CD, noise, tag)
    return {
      target: decoder(memory_BRD, entries[target])
      for target, decoder in zip(self.targets, self.decoders, strict=True)
    }

  def entries(
    self,
    vectors_CD: Float[Array, "C D"],
    noise: Noise | None = None,
    tag: Mapping[str, Array] | None = None,
  ) -> dict[str, Entries]:
    """target → its catalogue, the same for all who ask; see `__call__`."""
    content = {"items": vectors_CD, "tags": tag}
    return {
      target: decoder.entries(content[target], noise)
      for target, decoder in zip(self.targets, self.decoders, strict=True)
    }

  def ask(self, memory_BRD: Float[Array, "B R D"]) -> dict[str, Array]:
    """target → what is multiplied with its entries, one a row of memory."""
    return {
      target: decoder.ask(memory_BRD)
      for target, decoder in zip(self.targets, self.decoders, strict=True)
    }

  def encode(
    self,
    batch: Batch,
    vectors_CD: Float[Array, "C D"],
    noise: Noise | None,
    asked_BT: Int[Array, "B T"] | None = None,
  ) -> Float[Array, "B R D"]:
    """The interest where asked, corrected by the moment and person."""
    interest_BRD = self.read(batch, vectors_CD, noise, asked_BT)
    return self.correct(interest_BRD, batch, noise, asked_BT)

  def read(
    self,
    batch: Batch,
    vectors_CD: Float[Array, "C D"],
    noise: Noise | None,
    asked_BT: Int[Array, "B T"] | None = None,
  ) -> Float[Array, "B R D"]:
    """The interest where asked, as the history alone tells it.

    Of several interests, those of one position follow one another: R = T · I.
    """
    segments_BS = batch["history_segments"]
    x_BSD = self.events(vectors_CD, batch["history_ids"])
    bias = {}
    if self.event_ages:
      times = batch["asked_times"], batch["history_times"]
      x_BSD = x_BSD + self.event_ages(*times)
      if self.attention_ages:
        bias["bias_BNTS"] = self.attention_ages(*times)
    interest_BRD = self.history(
      x_BSD,
      segments_BS,
      batch["history_positions"],
      noise,
      None if self.interests else asked_BT,
      **bias,
    )
    if self.interests:
      return self.interests(interest_BRD, segments_BS, asked_BT)
    return interest_BRD

  def correct(
    self,
    interest_BRD: Float[Array, "B R D"],
    batch: Batch,
    noise: Noise | None,
    asked_BT: Int[Array, "B T"] | None = None,
  ) -> Float[Array, "B R D"]:
    """What `read` gave, corrected by the moment and person."""
    if self.interests:
      segments_BS = batch["history_segments"]
      asked_BT = asked_of_each(asked_BT, segments_BS, self.interests.count)
    return self.context(interest_BRD, batch, noise, asked_BT)
