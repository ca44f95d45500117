"""Sound: a convolutional network and a transformer over its spectrogram."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int16

from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.data.spec import Feature
from tagrec_jax.layers.conv import ResidualStages
from tagrec_jax.layers.linear import Linear
from tagrec_jax.layers.logmel import BANDS, HOP, log_mel, num_frames
from tagrec_jax.layers.noise import Noise, dropout
from tagrec_jax.layers.tokens import Tokens
from tagrec_jax.models.encoder.stack import TokenStack

MISSING = -(2**15)
SCALE = 4.0
"""About the standard deviation of logarithms of power."""
WIDTHS, BLOCKS = (32, 64, 128), (1, 1, 1)
STRETCH = 10
"""Frames of one token: a tenth of a second."""


def read_sound(
  values: Int16[Array, "N samples"],
) -> tuple[Float[Array, "N T F"], Bool[Array, "N T"]]:
  """The spectrogram, its mean 0 in each clip, and which frames exist.

  A clip ends with its last sample that is not 0; one that is missing has no
  frames, and one of silence has one.
  """
  known_N1 = (values != MISSING).any(1, keepdims=True)
  place = jnp.arange(values.shape[1])[None]
  last_N1 = jnp.where(values != 0, place, 0).max(1, keepdims=True)
  start_T = HOP * jnp.arange(num_frames(values.shape[1]))
  there_NT = known_N1 & (start_T[None] <= last_N1)
  x_NTF = log_mel(jnp.where(known_N1, values, 0))
  there_NT1 = there_NT[..., None]
  count_N11 = BANDS * there_NT1.sum(1, keepdims=True, dtype=jnp.float32)
  total_N11 = jnp.where(there_NT1, x_NTF, 0.0).sum((1, 2), keepdims=True)
  x_NTF = (x_NTF - total_N11 / jnp.maximum(count_N11, 1.0)) / SCALE
  return jnp.where(there_NT1, x_NTF, 0.0), there_NT


class CNNAudio(nnx.Module):
  """Residual stages over time and pitch, the mean over both: one token."""

  def __init__(self, feature: Feature, settings: ModelSettings, rngs: nnx.Rngs):
    del feature  # any length will do
    dtype = jnp.dtype(settings.compute_dtype)
    self.rate = settings.dropout
    self.stages = ResidualStages(
      1, 4, rngs, widths=WIDTHS, blocks=BLOCKS, dtype=dtype
    )
    self.map = Linear(
      WIDTHS[-1], settings.width, (None, "embed"), rngs, dtype=dtype
    )

  def __call__(
    self, values: Int16[Array, "N samples"], noise: Noise | None
  ) -> Tokens:
    x_NTF, there_NT = read_sound(values)
    there_NTF = jnp.broadcast_to(there_NT[..., None], x_NTF.shape)
    vectors_NO = self.stages(x_NTF[..., None], there_NTF)
    vectors_ND = self.map(dropout(vectors_NO, self.rate, noise))
    there_N1 = there_NT.any(1, keepdims=True)
    vectors_ND = jnp.where(there_N1, vectors_ND.astype(jnp.float32), 0.0)
    return Tokens(vectors_ND[:, None], there_N1)


class TransformerAudio(nnx.Module):
  """A transformer whose tokens are stretches of STRETCH frames."""

  def __init__(self, feature: Feature, settings: ModelSettings, rngs: nnx.Rngs):
    dtype = jnp.dtype(settings.compute_dtype)
    self.map = Linear(
      STRETCH * BANDS, settings.width, (None, "embed"), rngs, dtype=dtype
    )
    size = -(-num_frames(feature.width) // STRETCH)
    self.stack = TokenStack(settings, size, rngs)

  def __call__(
    self, values: Int16[Array, "N samples"], noise: Noise | None
  ) -> Tokens:
    x_NTF, there_NT = read_sound(values)
    fill = -there_NT.shape[1] % STRETCH
    x_NTF = jnp.pad(x_NTF, ((0, 0), (0, fill), (0, 0)))
    there_NT = jnp.pad(there_NT, ((0, 0), (0, fill)))
    size = there_NT.shape[0]
    x_NSI = x_NTF.reshape(size, -1, STRETCH * BANDS)
    there_NS = there_NT.reshape(size, -1, STRETCH).any(-1)
    return self.stack(self.map(x_NSI), there_NS, noise)
