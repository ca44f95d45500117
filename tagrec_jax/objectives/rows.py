"""What is computed over the scores of a question against the catalogue.

A row function gives, for a tile of N questions, the value of each and its
gradient for the scores as slopes · factor: a factor for each question can be
applied to small arrays, and the tile is passed over once less.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

SMALL = 70.0
"""exp of it, added up over 10^7 products, is still a finite float32."""


Row = Callable[
  [jax.Array, jax.Array, jax.Array, tuple[str, ...]],
  tuple[jax.Array, jax.Array, jax.Array],
]
"""(products_NC, bias_C, small, axes) → values [N], slopes [N, C], factors [N].

products_NC: the scores but for the bias, which comes apart so that XLA adds it
  while it reads the products, not in a pass of its own.
small: whether |score| <= SMALL is known to hold.
axes: mesh axes over which the rest of the catalogue is spread, if any.
"""


def log_sum_exp(
  products_NC: jax.Array,
  bias_C: jax.Array,
  small: jax.Array,
  axes: tuple[str, ...],
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """log Σ exp(score); slopes exp(score - shift), factor 1 / Σ slopes."""
  # The largest score costs one more pass over the tile. Where scores are known
  # to be small, exp cannot overflow and needs no shift.
  shift_N = lax.cond(
    small,
    lambda products_NC, _: jnp.zeros(products_NC.shape[0]),
    lambda products_NC, bias_C: jnp.max(products_NC + bias_C[None], axis=1),
    products_NC,
    bias_C,
  )
  shift_N = lax.pmax(shift_N, axes) if axes else shift_N
  slopes_NC = jnp.exp(products_NC + bias_C[None] - shift_N[:, None])
  sum_N = jnp.sum(slopes_NC, axis=1)
  sum_N = lax.psum(sum_N, axes) if axes else sum_N
  return shift_N + jnp.log(sum_N), slopes_NC, 1.0 / sum_N


def softplus_sum(
  products_NC: jax.Array,
  bias_C: jax.Array,
  small: jax.Array,
  axes: tuple[str, ...],
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Σ log(1 + exp(score)); slopes sigmoid(score), factor 1."""
  del small
  scores_NC = products_NC + bias_C[None]
  value_N = jnp.sum(jax.nn.softplus(scores_NC), axis=1)
  value_N = lax.psum(value_N, axes) if axes else value_N
  return value_N, jax.nn.sigmoid(scores_NC), jnp.ones_like(value_N)
