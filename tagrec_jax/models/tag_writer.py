"""The encoder-decoder that writes the tags of a product, one after another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.data.spec import Spec
from tagrec_jax.layers import param
from tagrec_jax.layers.embed import lookup
from tagrec_jax.layers.linear import Linear
from tagrec_jax.layers.memory_attention import Kept
from tagrec_jax.layers.noise import Noise
from tagrec_jax.models.decoder.ranking import Entries
from tagrec_jax.models.decoder.sequence import Memory, SequenceDecoder
from tagrec_jax.models.decoder.tags import tag_catalogue
from tagrec_jax.models.encoder.product import MakeEncoder, ProductEncoder
from tagrec_jax.models.tagger import Head

Product = Mapping[str, Array]


class Writing(NamedTuple):
  """Of each product, before and while its tags are written.

  Attributes:
    start_B1D: the question for tags, in the place of the tag before the first.
    memory: what is known of the product.
  """

  start_B1D: Float[Array, "B 1 D"]
  memory: Memory


class TagWriter(nnx.Module):
  """Product in, a set of tags out.

  The memory holds the tokens of all features and what the head makes of them
  together. A written tag is read by the vector that it is asked for with. Tags
  have no places: a set has no order.

  Args:
    settings, spec, encoders, prior: see `Tagger`.
  """

  def __init__(
    self,
    settings: ModelSettings,
    spec: Spec,
    *,
    encoders: Mapping[str, MakeEncoder],
    prior: np.ndarray,
    rngs: nnx.Rngs,
  ):
    width = settings.width
    self.products = ProductEncoder(settings, spec, encoders, rngs)
    self.head = Head(settings, rngs)
    self.memory_norm = param.layer_norm(width, rngs, dtype=jnp.float32)
    self.decoder = SequenceDecoder(settings, rngs)
    self.tags = tag_catalogue(
      settings, spec, self.products.encoders, rngs, prior
    )
    self.read_norm = param.layer_norm(width, rngs, dtype=jnp.float32)
    self.end = Linear(width, 1, ("embed", None), rngs, dtype=jnp.float32)

  def begin(self, product: Product, noise: Noise | None = None) -> Writing:
    """What is to be written about.

    Args:
      product: feature → array [B, ...].
    """
    vectors_BD, tokens = self.products.memory(product, noise)
    start_B1D = self.head(vectors_BD[:, None], noise)
    memory_BSD = jnp.concatenate(
      [start_B1D, self.memory_norm(tokens.values_NSD)], axis=1
    )
    there_BS = jnp.pad(tokens.there_NS, ((0, 0), (1, 0)), constant_values=True)
    memory = self.decoder.remember(memory_BSD, there_BS[:, None])
    return Writing(start_B1D, memory)

  def __call__(
    self,
    product: Product,
    entries: Entries,
    tags_BT: Int[Array, "B T"],
    noise: Noise | None = None,
  ) -> Float[Array, "B T V"]:
    """Logits of what comes next, at each place of a list of tags.

    Args:
      entries: of the catalogue.
      tags_BT: each is read only for those after it; UNKNOWN pads.

    Returns:
      Of each tag, then of the end: V = C + 1.
    """
    writing = self.begin(product, noise)
    before_BTD = jnp.concatenate(
      [writing.start_B1D, self._read(entries, tags_BT[:, :-1])], axis=1
    )
    y_B1TD = self.decoder(before_BTD[:, None], writing.memory, noise)
    return self._scores(y_B1TD[:, 0], entries)

  def step(
    self,
    writing: Writing,
    entries: Entries,
    written: tuple[Kept, ...],
    tags_BW: Int[Array, "B W"],
    place: Int[Array, ""],
  ) -> tuple[Float[Array, "B W V"], tuple[Kept, ...]]:
    """Logits of what comes at `place`, see `decoding.beam.Step`."""
    before_BWD = self._read(entries, tags_BW)
    start_BWD = jnp.broadcast_to(writing.start_B1D, before_BWD.shape)
    x_BWD = jnp.where(place == 0, start_BWD, before_BWD)
    y_BWD, written = self.decoder.step(x_BWD, written, writing.memory, place)
    return self._scores(y_BWD, entries), written

  def _read(
    self, entries: Entries, tags_BT: Int[Array, "B T"]
  ) -> Float[Array, "B T D"]:
    """Vectors of written tags, of the size of all else that is read."""
    size = len(entries.bias_C)
    known_BT = jnp.where(tags_BT < size, tags_BT, UNKNOWN)
    return self.read_norm(lookup(entries.vectors_CD, known_BT))

  def _scores(
    self, y_BTD: Float[Array, "B T D"], entries: Entries
  ) -> Float[Array, "B T V"]:
    query_BTD = self.tags.ask(y_BTD)
    scores_BTC = jnp.einsum(
      "BTD,CD->BTC",
      query_BTD,
      entries.vectors_CD.astype(query_BTD.dtype),
      preferred_element_type=jnp.float32,
    )
    scores_BTC = scores_BTC + entries.bias_C[None, None]
    return jnp.concatenate([scores_BTC, self.end(y_BTD)], axis=2)
