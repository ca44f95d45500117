"""Write an answer token by token: a causal decoder that looks at a memory."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.layers import param
from tagrec_jax.layers.memory_attention import Kept, MemoryAttention
from tagrec_jax.layers.mlp import MLP
from tagrec_jax.layers.noise import Noise, dropout


class Memory(NamedTuple):
  """What is looked at while writing, the same for all that is written.

  Attributes:
    kept: keys and values for each layer.
    mask_BTS: which of them each of T sequences may look at.
  """

  kept: tuple[Kept, ...]
  mask_BTS: Bool[Array, "B T S"]


class DecoderBlock(nnx.Module):
  """Pre-norm: attention to what is written, to the memory, feed-forward."""

  def __init__(self, settings: ModelSettings, rngs: nnx.Rngs):
    width, dtype = settings.width, jnp.dtype(settings.compute_dtype)
    self.rate = settings.dropout
    self.written_norm = param.layer_norm(width, rngs, dtype=dtype)
    self.written = MemoryAttention(width, settings.heads, rngs, dtype=dtype)
    self.memory_norm = param.layer_norm(width, rngs, dtype=dtype)
    self.memory = MemoryAttention(width, settings.heads, rngs, dtype=dtype)
    self.mlp_norm = param.layer_norm(width, rngs, dtype=dtype)
    self.mlp = MLP(
      width, settings.hidden, settings.activation, rngs, dtype=dtype
    )

  def __call__(
    self,
    x_BTLD: Float[Array, "B T L D"],
    kept: Kept,
    mask_BTS: Bool[Array, "B T S"],
    noise: Noise | None,
  ) -> Float[Array, "B T L D"]:
    """All L tokens of T sequences, each from those before it."""
    batch, count, length, width = x_BTLD.shape
    x_GLD = x_BTLD.reshape(batch * count, length, width)
    normed_GLD = self.written_norm(x_GLD)
    causal_GLL = jnp.broadcast_to(
      jnp.tril(jnp.ones((length, length), bool))[None],
      (batch * count, length, length),
    )
    update = self.written(normed_GLD, self.written.keep(normed_GLD), causal_GLL)
    x_GLD = x_GLD + dropout(update, self.rate, noise)
    x_BXD = x_GLD.reshape(batch, count * length, width)
    mask_BXS = jnp.repeat(mask_BTS, length, axis=1)
    x_BXD = self._from_memory(x_BXD, kept, mask_BXS, noise)
    return x_BXD.reshape(batch, count, length, width)

  def step(
    self,
    x_BWD: Float[Array, "B W D"],
    written: Kept,
    kept: Kept,
    mask_BWS: Bool[Array, "B W S"],
    place: Int[Array, ""],
  ) -> tuple[Float[Array, "B W D"], Kept]:
    """One token of each beam.

    Args:
      written: of the tokens before, [B, W, L, N, H].
      place: of this token among them.
    """
    batch, beams, width = x_BWD.shape
    normed_GD = self.written_norm(x_BWD).reshape(batch * beams, 1, width)
    own = self.written.keep(normed_GD)
    written = Kept(
      *(
        jax.lax.dynamic_update_index_in_dim(
          every, new.reshape(batch, beams, 1, *new.shape[2:]), place, 2
        )
        for every, new in zip(written, own, strict=True)
      )
    )
    length = written.k_BSNH.shape[2]
    before_G1L = jnp.broadcast_to(
      (jnp.arange(length) <= place)[None, None], (batch * beams, 1, length)
    )
    flat = Kept(*(leaf.reshape(-1, *leaf.shape[2:]) for leaf in written))
    update = self.written(normed_GD, flat, before_G1L)
    x_BWD = x_BWD + update.reshape(batch, beams, width)
    return self._from_memory(x_BWD, kept, mask_BWS, None), written

  def _from_memory(
    self,
    x_BXD: Float[Array, "B X D"],
    kept: Kept,
    mask_BXS: Bool[Array, "B X S"],
    noise: Noise | None,
  ) -> Float[Array, "B X D"]:
    update = self.memory(self.memory_norm(x_BXD), kept, mask_BXS)
    x_BXD = x_BXD + dropout(update, self.rate, noise)
    return x_BXD + dropout(self.mlp(self.mlp_norm(x_BXD)), self.rate, noise)


class SequenceDecoder(nnx.Module):
  """Vectors of the tokens before → a vector that asks for the next token.

  It knows no vocabulary: whoever uses it makes vectors of tokens, the first of
  them of what is asked, and scores of what comes out. Tokens have no positions;
  where these matter their vectors tell.

  Source: Vaswani et al. 2017, section 3.1, with norms before each layer.
  """

  def __init__(self, settings: ModelSettings, rngs: nnx.Rngs):
    self.rate = settings.dropout
    self.heads = settings.heads
    self.dtype = jnp.dtype(settings.compute_dtype)
    self.blocks = nnx.List(
      [DecoderBlock(settings, rngs) for _ in range(settings.decoder_layers)]
    )
    self.norm = param.layer_norm(settings.width, rngs, dtype=self.dtype)

  def remember(
    self, memory_BSD: Float[Array, "B S D"], mask_BTS: Bool[Array, "B T S"]
  ) -> Memory:
    """What all steps of T sequences a row look at."""
    memory_BSD = memory_BSD.astype(self.dtype)
    return Memory(
      tuple(block.memory.keep(memory_BSD) for block in self.blocks), mask_BTS
    )

  def __call__(
    self,
    x_BTLD: Float[Array, "B T L D"],
    memory: Memory,
    noise: Noise | None = None,
  ) -> Float[Array, "B T L D"]:
    """All steps of sequences that are known, as in training."""
    x_BTLD = dropout(x_BTLD.astype(self.dtype), self.rate, noise)
    for block, kept in zip(self.blocks, memory.kept, strict=True):
      x_BTLD = block(x_BTLD, kept, memory.mask_BTS, noise)
    return self.norm(x_BTLD)

  def nothing(self, rows: int, beams: int, length: int) -> tuple[Kept, ...]:
    """Room for keys and values of `length` tokens, before the first."""
    width = self.norm.num_features
    shape = (rows, beams, length, self.heads, width // self.heads)
    empty = jnp.zeros(shape, self.dtype)
    return tuple(Kept(empty, empty) for _ in self.blocks)

  def step(
    self,
    x_BWD: Float[Array, "B W D"],
    written: tuple[Kept, ...],
    memory: Memory,
    place: Int[Array, ""],
  ) -> tuple[Float[Array, "B W D"], tuple[Kept, ...]]:
    """One step of W beams a row; what is written grows by one token."""
    x_BWD = x_BWD.astype(self.dtype)
    # All beams of a row look at the same memory.
    beams, size = x_BWD.shape[1], memory.mask_BTS.shape[2]
    mask_BWS = jnp.broadcast_to(memory.mask_BTS, (x_BWD.shape[0], beams, size))
    after = []
    for block, kept, before in zip(
      self.blocks, memory.kept, written, strict=True
    ):
      x_BWD, now = block.step(x_BWD, before, kept, mask_BWS, place)
      after.append(now)
    return self.norm(x_BWD), tuple(after)
