"""The encoder-decoder that names the next product by its codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.data.spec import Spec
from tagrec_jax.layers import param
from tagrec_jax.layers.attention import packed_causal_mask
from tagrec_jax.layers.embed import lookup
from tagrec_jax.layers.memory_attention import Kept
from tagrec_jax.layers.noise import Noise
from tagrec_jax.layers.positions import pick
from tagrec_jax.models.decoder.sequence import Memory, SequenceDecoder
from tagrec_jax.models.encoder.product import MakeEncoder
from tagrec_jax.models.recommender import Recommender

Batch = Mapping[str, Array]


class CodeTable(nnx.Module):
  """A vector for each code of each level, to be read and to be asked for.

  Args:
    levels, size: L levels of K codes.
  """

  def __init__(self, levels: int, size: int, width: int, rngs: nnx.Rngs):
    self.shape = (levels, size, width)
    rows = levels * size
    self.table = param.table(rows, width, ("vocabulary", "embed"), rngs)
    self.bias = param.zeros((rows,), ("vocabulary",))

  def vectors(
    self, codes: Int[Array, "*any"], level: Int[Array, "*level"]
  ) -> Float[Array, "*any D"]:
    """Of codes of these levels, `level` as `codes` or one for all of them."""
    rows = jnp.where(codes >= 0, codes + level * self.shape[1], UNKNOWN)
    return lookup(self.table[...], rows)

  def scores(self, y_BTLD: Float[Array, "B T L D"]) -> Float[Array, "B T L K"]:
    """The logits of all codes at each level."""
    scores_BTLK = jnp.einsum(
      "BTLD,LKD->BTLK",
      y_BTLD,
      self.table[...].reshape(self.shape).astype(y_BTLD.dtype),
      preferred_element_type=jnp.float32,
    )
    return scores_BTLK + self.bias[...].reshape(1, 1, *self.shape[:2])

  def scores_at(
    self, y_BWD: Float[Array, "B W D"], level: Int[Array, ""]
  ) -> Float[Array, "B W K"]:
    """Those of one level."""
    asked_KD = self.table[...].reshape(self.shape)[level].astype(y_BWD.dtype)
    scores_BWK = jnp.einsum(
      "BWD,KD->BWK", y_BWD, asked_KD, preferred_element_type=jnp.float32
    )
    return (
      scores_BWK + self.bias[...].reshape(self.shape[:2])[level][None, None]
    )


class Writing(NamedTuple):
  """Of each person, before and while products are written.

  Attributes:
    start_B1D: the interest, in the place of the code before the first.
    memory: the events that it may look back on.
  """

  start_B1D: Float[Array, "B 1 D"]
  memory: Memory


class ItemWriter(Recommender):
  """History, moment and person in, codes of the next product out.

  The memory of a position is what the history encoder made of all events up to
  it; the interest there begins the sequence. Events are read with the codes of
  their products: what is learned of codes that were taken serves those to be
  written. Parameters that read are those of a `Recommender`.

  Args:
    levels, size: of codes, see `CodeTable`.
    settings, spec, encoders, history, max_positions: see `Recommender`.
  """

  def __init__(
    self,
    settings: ModelSettings,
    spec: Spec,
    *,
    encoders: Mapping[str, MakeEncoder],
    history: Callable[..., nnx.Module],
    max_positions: int,
    levels: int,
    size: int,
    rngs: nnx.Rngs,
  ):
    super().__init__(
      settings,
      spec,
      encoders=encoders,
      history=history,
      max_positions=max_positions,
      targets=(),
      rngs=rngs,
    )
    self.codes = CodeTable(levels, size, settings.width, rngs)
    self.decoder = SequenceDecoder(settings, rngs)

  def vectors(
    self,
    product: Mapping[str, Array],
    codes_CL: Int[Array, "C L"],
    noise: Noise | None = None,
  ) -> Float[Array, "C D"]:
    """What events are read by: see `ProductEncoder.vectors`, and codes."""
    vectors_CD = self.products.vectors(product, noise)
    levels_1L = jnp.arange(codes_CL.shape[1])[None]
    levels_CL = jnp.broadcast_to(levels_1L, codes_CL.shape)
    read_CD = self.codes.vectors(codes_CL, levels_CL).sum(axis=1)
    return vectors_CD + read_CD[: len(vectors_CD)]

  def logits(
    self,
    batch: Batch,
    vectors_CD: Float[Array, "C D"],
    codes_BTL: Int[Array, "B T L"],
    noise: Noise | None = None,
  ) -> Float[Array, "B T L K"]:
    """Of each code of the products asked for, at every position.

    Args:
      batch, vectors_CD, noise: see `Recommender`.
      codes_BTL: the right ones; each is read only for those after it.
    """
    interest_BTD = self.encode(batch, vectors_CD, noise)
    memory = self.decoder.remember(
      interest_BTD, packed_causal_mask(batch["history_segments"])
    )
    levels = jnp.arange(codes_BTL.shape[2] - 1)
    before_BTLD = jnp.concatenate(
      [
        interest_BTD[:, :, None],
        self.codes.vectors(
          codes_BTL[..., :-1],
          jnp.broadcast_to(levels[None, None], codes_BTL[..., :-1].shape),
        ).astype(interest_BTD.dtype),
      ],
      axis=2,
    )
    return self.codes.scores(self.decoder(before_BTLD, memory, noise))

  def begin(self, batch: Batch, vectors_CD: Float[Array, "C D"]) -> Writing:
    """What is to be written about: the position `last` of each row."""
    interest_BSD = self.encode(batch, vectors_CD, None)
    last_B1 = batch["last"][:, None]
    mask_B1S = pick(packed_causal_mask(batch["history_segments"]), last_B1)
    memory = self.decoder.remember(interest_BSD, mask_B1S)
    return Writing(pick(interest_BSD, last_B1), memory)

  def step(
    self,
    writing: Writing,
    written: tuple[Kept, ...],
    codes_BW: Int[Array, "B W"],
    place: Int[Array, ""],
  ) -> tuple[Float[Array, "B W K"], tuple[Kept, ...]]:
    """Logits of the code at `place`, see `decoding.beam.Step`."""
    before_BWD = self.codes.vectors(codes_BW, place - 1)
    start_BWD = jnp.broadcast_to(writing.start_B1D, before_BWD.shape)
    x_BWD = jnp.where(place == 0, start_BWD, before_BWD)
    y_BWD, written = self.decoder.step(x_BWD, written, writing.memory, place)
    return self.codes.scores_at(y_BWD, place), written
