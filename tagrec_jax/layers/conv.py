"""Convolutions over pictures and spectrograms."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

GROUPS = 8


class Conv(nnx.Module):
  """y = W * x without bias, odd and square kernels, arrays [N, Y, X, I].

  Zeros are added on all sides alike, so that what stands in y at (i, j) lies
  around (stride · i, stride · j) of x whatever the size of x.

  On a CPU its gradient must not be taken in a loop (`jax.lax.scan`): XLA has a
  slow convolution there, 50 times as slow. Loops of forward passes are fine.
  """

  def __init__(
    self,
    inputs: int,
    outputs: int,
    rngs: nnx.Rngs,
    *,
    size: int = 3,
    stride: int = 1,
    dtype: Any,
  ):
    self.stride = stride
    self.dtype = dtype
    start = jax.nn.initializers.he_normal()
    kernel = start(rngs.params(), (size, size, inputs, outputs), jnp.float32)
    self.kernel = nnx.Param(kernel, axes=(None, None, None, "hidden"))

  def __call__(
    self, x_NYXI: Float[Array, "N Y X I"]
  ) -> Float[Array, "N U V O"]:
    kernel = self.kernel[...].astype(self.dtype)
    side = kernel.shape[0] // 2
    return jax.lax.conv_general_dilated(
      x_NYXI.astype(self.dtype),
      kernel,
      (self.stride, self.stride),
      ((side, side), (side, side)),
      dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


class GroupNorm(nnx.Module):
  """Normalises groups of channels of one picture (Wu & He 2018).

  Not BatchNorm: what is said of a product must not depend on the others of its
  batch, and there is nothing to keep besides parameters.
  """

  def __init__(self, width: int, rngs: nnx.Rngs, *, dtype: Any):
    self.norm = nnx.GroupNorm(
      width,
      GROUPS,
      dtype=dtype,
      scale_metadata={"axes": ("hidden",)},
      bias_metadata={"axes": ("hidden",)},
      rngs=rngs,
    )

  def __call__(
    self,
    x_NYXI: Float[Array, "N Y X I"],
    there_NYX: Bool[Array, "N Y X"] | None = None,
  ) -> Float[Array, "N Y X I"]:
    """What is not there has no part in the statistics."""
    if there_NYX is None:
      return self.norm(x_NYXI)
    # Where nothing is there, statistics of nothing would be no numbers.
    nothing_N11 = ~there_NYX.any((1, 2), keepdims=True)
    mask = jnp.broadcast_to((there_NYX | nothing_N11)[..., None], x_NYXI.shape)
    return self.norm(x_NYXI, mask=mask)


class ResidualBlock(nnx.Module):
  """x + conv(relu(norm(conv(relu(norm(x)))))) (He et al. 2016, v2)."""

  def __init__(
    self, inputs: int, outputs: int, stride: int, rngs: nnx.Rngs, *, dtype: Any
  ):
    self.first_norm = GroupNorm(inputs, rngs, dtype=dtype)
    self.first = Conv(inputs, outputs, rngs, stride=stride, dtype=dtype)
    self.second_norm = GroupNorm(outputs, rngs, dtype=dtype)
    self.second = Conv(outputs, outputs, rngs, dtype=dtype)
    same = inputs == outputs and stride == 1
    self.skip = (
      None
      if same
      else Conv(inputs, outputs, rngs, size=1, stride=stride, dtype=dtype)
    )

  def __call__(
    self,
    x_NYXI: Float[Array, "N Y X I"],
    there_NYX: Bool[Array, "N Y X"] | None = None,
  ) -> Float[Array, "N U V O"]:
    after = shrink(there_NYX, self.first.stride)
    h = only(jax.nn.relu(self.first_norm(x_NYXI, there_NYX)), there_NYX)
    skip = x_NYXI if self.skip is None else self.skip(h)
    h = jax.nn.relu(self.second_norm(self.first(h), after))
    return only(skip + self.second(only(h, after)), after)


class ResidualStages(nnx.Module):
  """A small ResNet: a stem, then stages, each at half the side of the last.

  Args:
    inputs: channels.
    stem_stride: how much the stem shrinks both sides.
    widths: channels of each stage. blocks: of each stage.
  """

  def __init__(
    self,
    inputs: int,
    stem_stride: int,
    rngs: nnx.Rngs,
    *,
    widths: tuple[int, ...],
    blocks: tuple[int, ...],
    dtype: Any,
  ):
    self.stem = Conv(
      inputs,
      widths[0],
      rngs,
      size=2 * stem_stride - 1,
      stride=stem_stride,
      dtype=dtype,
    )
    made: list[ResidualBlock] = []
    before = widths[0]
    for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
      for place in range(count):
        stride = 2 if stage > 0 and place == 0 else 1
        made.append(ResidualBlock(before, width, stride, rngs, dtype=dtype))
        before = width
    self.blocks = nnx.List(made)
    self.norm = GroupNorm(before, rngs, dtype=dtype)

  def __call__(
    self,
    x_NYXI: Float[Array, "N Y X I"],
    there_NYX: Bool[Array, "N Y X"] | None = None,
  ) -> Float[Array, "N O"]:
    """The mean over all places that are there."""
    x = self.stem(only(x_NYXI, there_NYX))
    there_NYX = shrink(there_NYX, self.stem.stride)
    for block in self.blocks:
      x = block(x, there_NYX)
      there_NYX = shrink(there_NYX, block.first.stride)
    x = jax.nn.relu(self.norm(x, there_NYX)).astype(jnp.float32)
    if there_NYX is None:
      return x.mean((1, 2))
    count_N1 = there_NYX.sum((1, 2), dtype=jnp.float32)[:, None]
    return only(x, there_NYX).sum((1, 2)) / jnp.maximum(count_N1, 1.0)


def shrink(
  there_NYX: Bool[Array, "N Y X"] | None, stride: int
) -> Bool[Array, "N U V"] | None:
  """Whether the middle of what a strided convolution saw is there."""
  return None if there_NYX is None else there_NYX[:, ::stride, ::stride]


def only(
  x_NYXI: Float[Array, "N Y X I"], there_NYX: Bool[Array, "N Y X"] | None
) -> Float[Array, "N Y X I"]:
  """x where it is there, elsewhere 0."""
  if there_NYX is None:
    return x_NYXI
  return jnp.where(there_NYX[..., None], x_NYXI, jnp.zeros((), x_NYXI.dtype))
