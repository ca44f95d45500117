"""Pictures: a convolutional network and a transformer over patches."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, UInt8

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.data.spec import Feature
from tagrec_jax.layers.conv import ResidualStages
from tagrec_jax.layers.linear import Linear
from tagrec_jax.layers.noise import Noise, dropout
from tagrec_jax.layers.tokens import Tokens
from tagrec_jax.models.encoder.augment import augment
from tagrec_jax.models.encoder.stack import TokenStack

WIDTHS, BLOCKS = (32, 64, 128), (1, 2, 2)
"""Of the convolutional network's stages: 0.7 million parameters, half a billion
operations to learn from one picture of 64 x 64."""

PATCH = 8
"""Pixels of a patch's side."""


def read_pixels(
  values: UInt8[Array, "N Y X 3"], noise: Noise | None
) -> tuple[Float[Array, "N Y X 3"], Bool[Array, " N"]]:
  """Pixels from -1 to 1, changed at random under noise, and which exist."""
  there_N = (values > 0).any((1, 2, 3))
  x_NYXI = values.astype(jnp.float32) / 127.5 - 1
  return x_NYXI if noise is None else augment(x_NYXI, noise), there_N


class ResNetImage(nnx.Module):
  """Three residual stages, the mean over the picture: one token."""

  def __init__(self, feature: Feature, settings: ModelSettings, rngs: nnx.Rngs):
    del feature  # any size will do
    dtype = jnp.dtype(settings.compute_dtype)
    self.rate = settings.dropout
    self.stages = ResidualStages(
      3, 2, rngs, widths=WIDTHS, blocks=BLOCKS, dtype=dtype
    )
    self.map = Linear(
      WIDTHS[-1], settings.width, (None, "embed"), rngs, dtype=dtype
    )

  def __call__(
    self, values: UInt8[Array, "N Y X 3"], noise: Noise | None
  ) -> Tokens:
    x_NYXI, there_N = read_pixels(values, noise)
    vectors_NO = dropout(self.stages(x_NYXI), self.rate, noise)
    vectors_ND = self.map(vectors_NO).astype(jnp.float32)
    vectors_ND = jnp.where(there_N[:, None], vectors_ND, 0.0)
    return Tokens(vectors_ND[:, None], there_N[:, None])


class ViTImage(nnx.Module):
  """A transformer whose tokens are patches (Dosovitskiy et al. 2021).

  Raises:
    UserError: if the pictures are not made of whole patches.
  """

  def __init__(self, feature: Feature, settings: ModelSettings, rngs: nnx.Rngs):
    if feature.width % PATCH:
      raise UserError(
        "config.data.image_size",
        f"found {feature.width} with config.model.image='vit'",
        f"a multiple of {PATCH}",
        f"use {max(round(feature.width / PATCH), 1) * PATCH}",
      )
    dtype = jnp.dtype(settings.compute_dtype)
    self.patches = Linear(
      3 * PATCH**2, settings.width, (None, "embed"), rngs, dtype=dtype
    )
    self.stack = TokenStack(settings, (feature.width // PATCH) ** 2, rngs)

  def __call__(
    self, values: UInt8[Array, "N Y X 3"], noise: Noise | None
  ) -> Tokens:
    x_NYXI, there_N = read_pixels(values, noise)
    size, side = x_NYXI.shape[0], x_NYXI.shape[1] // PATCH
    x = x_NYXI.reshape(size, side, PATCH, side, PATCH, 3)
    x_NSI = x.swapaxes(2, 3).reshape(size, side**2, -1)
    there_NS = jnp.broadcast_to(there_N[:, None], x_NSI.shape[:2])
    return self.stack(self.patches(x_NSI), there_NS, noise)
