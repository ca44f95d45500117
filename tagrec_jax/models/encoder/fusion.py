"""All that is known of a product → one vector."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.layers import param
from tagrec_jax.layers.noise import Noise, dropout
from tagrec_jax.layers.tokens import Tokens
from tagrec_jax.models.encoder.blocks import make_blocks


class SumFusion(nnx.Module):
  """The sum of one vector a feature, the mean of its tokens: late fusion."""

  def __call__(
    self, features: Sequence[Tokens], noise: Noise | None
  ) -> Float[Array, "N D"]:
    del noise
    vectors = [feature.mean() for feature in features]
    return sum(vectors[1:], start=vectors[0])


class TransformerFusion(nnx.Module):
  """Tokens of all features attend to each other; one more collects the answer.

  A feature's tokens are told apart from others' by a vector of its own. A
  product of which nothing is known still has the collecting token.

  Args:
    count: features, always given in the same order.
  """

  def __init__(self, settings: ModelSettings, count: int, rngs: nnx.Rngs):
    self.rate = settings.dropout
    self.dtype = jnp.dtype(settings.compute_dtype)
    self.kinds = param.table(count, settings.width, (None, "embed"), rngs)
    self.answer = param.table(1, settings.width, (None, "embed"), rngs)
    self.blocks = make_blocks(settings, settings.fusion_layers, rngs)
    self.norm = param.layer_norm(settings.width, rngs, dtype=self.dtype)

  def __call__(
    self, features: Sequence[Tokens], noise: Noise | None
  ) -> Float[Array, "N D"]:
    size = features[0].values_NSD.shape[0]
    answer_N1D = jnp.broadcast_to(
      self.answer[...][None], (size, 1, self.answer[...].shape[1])
    )
    kinds = self.kinds[...]
    x_BSD = jnp.concatenate(
      [
        answer_N1D,
        *(
          feature.values_NSD + kind[None, None]
          for feature, kind in zip(features, kinds, strict=True)
        ),
      ],
      axis=1,
    )
    there_BS = jnp.concatenate(
      [jnp.ones((size, 1), bool), *(f.there_NS for f in features)], axis=1
    )
    x_BSD = dropout(x_BSD.astype(self.dtype), self.rate, noise)
    mask_BTS = jnp.broadcast_to(
      there_BS[:, None], (size, there_BS.shape[1], there_BS.shape[1])
    )
    # Features have no order, so no token has a place; rotation by none is none.
    positions_BS = jnp.zeros(there_BS.shape, jnp.int32)
    first_B1 = jnp.zeros((size, 1), jnp.int32)
    x_B1D = self.blocks(x_BSD, mask_BTS, positions_BS, noise, first_B1)
    return self.norm(x_B1D)[:, 0].astype(jnp.float32)
