"""A bag of hashed n-grams."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Int

from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.data.spec import Feature
from tagrec_jax.layers import param
from tagrec_jax.layers.embed import lookup
from tagrec_jax.layers.noise import Noise
from tagrec_jax.layers.rows import weighted_rows
from tagrec_jax.layers.tokens import Tokens

_AXES: param.Axes = ("content", "embed")


class NgramBag(nnx.Module):
  """Σ w[id] · E[id] / √(Σ w[id]²), one token.

  This is a linear map of the text's TF-IDF vector at length 1 if w is the
  inverse document frequency of each n-gram, where w starts; it is learned too.

  Args:
    weights: [size] where w starts, None for 1.
  """

  number_by_number = True

  def __init__(
    self,
    feature: Feature,
    settings: ModelSettings,
    rngs: nnx.Rngs,
    weights: np.ndarray | None = None,
  ):
    self.rate = settings.dropout
    self.table = param.long_table(feature.size, settings.width, _AXES, rngs)
    start = np.ones(feature.size) if weights is None else weights
    self.weights = param.of(start[:, None], ("content", None))

  def __call__(self, values: Int[Array, "N W"], noise: Noise | None) -> Tokens:
    """Under noise each n-gram is left out with probability `rate`."""
    ids_NW = values
    if noise is not None and self.rate > 0:
      ids_NW = jnp.where(noise.keep(ids_NW.shape, self.rate), ids_NW, -1)
    weights_NW = lookup(self.weights[...], ids_NW)[..., 0]
    # Under the root, so that an empty text has no infinite gradient.
    square_N1 = (weights_NW**2).sum(1, keepdims=True)
    scale_N1 = jnp.where(square_N1 > 0, square_N1, 1.0) ** -0.5
    shares_NW = weights_NW * scale_N1
    vectors_ND = weighted_rows(self.table[...], ids_NW, shares_NW, _AXES)
    there_N1 = (values >= 0).any(1, keepdims=True)
    return Tokens(vectors_ND[:, None], there_N1)
