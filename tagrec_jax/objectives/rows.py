"""What a loss computes from the scores of a question.

A row function sees a tile of N questions at once. It gives the value of each,
and its gradient for the scores as slopes · factor: a factor for each question
can be applied to small arrays, and the tile is passed over once less.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

SMALL = 70.0
"""exp of it, added up over 10^7 products, is still a finite float32."""

MARGIN = 10.0
"""Terms as small as exp(-MARGIN - 17) of the right answer's still count: the
smallest float32 is about exp(-87)."""


@dataclasses.dataclass(frozen=True)
class Tile:
  """Questions, what they score, and the score of their right answer.

  Attributes:
    products_NC: the scores but for the bias, which comes apart so that XLA adds
      it while it reads the products, not in a pass of its own.
    bias_C: of each column.
    right_N: float32, the score of the right answer, or of all of them.
    column_NM: int32, which columns are the right answers themselves; a number
      that is no column where none is.
    share_NM: float32, how much each of them counts.
    dtype: of the products to come, to which slopes are rounded.
    reach_N: float32, no |score| of the question is above it.
    axes: mesh axes over which the rest of the columns is spread, if any.
  """

  products_NC: jax.Array
  bias_C: jax.Array
  right_N: jax.Array
  column_NM: jax.Array
  share_NM: jax.Array
  dtype: Any
  reach_N: jax.Array
  axes: tuple[str, ...]

  @property
  def scores_NC(self) -> jax.Array:
    return self.products_NC + self.bias_C[None]

  @property
  def wrong_NC(self) -> jax.Array:
    """Which columns are not the right answer, where there is one at most."""
    columns_C = jnp.arange(self.bias_C.shape[0], dtype=jnp.int32)
    return columns_C[None] != self.column_NM

  @property
  def right_NM(self) -> jax.Array:
    """The score of each right answer, also of those on other devices."""
    places = self._places
    bias_NM = self.bias_C.at[places[1]].get(mode="fill", fill_value=0)
    right_NM = self.products_NC.at[places].get(mode="fill", fill_value=0)
    right_NM += bias_NM
    return lax.psum(right_NM, self.axes) if self.axes else right_NM

  def put(self, x_NC: jax.Array, right_NM: jax.Array | float) -> jax.Array:
    """The columns, with others in the places of right answers."""
    if not isinstance(right_NM, float):
      right_NM = right_NM.astype(x_NC.dtype)
    return x_NC.at[self._places].set(right_NM, mode="drop")

  @property
  def _places(self) -> tuple[jax.Array, jax.Array]:
    """Indices of the right answers; past the end where they are not here."""
    size = self.bias_C.shape[0]
    here_NM = (self.column_NM >= 0) & (self.column_NM < size)
    rows_N1 = jnp.arange(len(self.column_NM), dtype=jnp.int32)[:, None]
    return rows_N1, jnp.where(here_NM, self.column_NM, size)

  def sum(self, x_NC: jax.Array) -> jax.Array:
    """Over all columns, also those that other devices hold."""
    sum_N = jnp.sum(x_NC, axis=1, dtype=jnp.float32)
    return lax.psum(sum_N, self.axes) if self.axes else sum_N

  def exp(self, shift_N: jax.Array) -> jax.Array:
    """The exp of score - shift, already rounded.

    Sums are taken of what it gives: one pass less over float32, and
    probabilities that add up to 1 as they are used.
    """
    return jnp.exp(self.scores_NC - shift_N[:, None]).astype(self.dtype)

  def shift(self) -> jax.Array:
    """[N], to be taken off scores so that their exp does not overflow.

    The largest score costs one more pass over the tile. What the reach allows
    too much serves as well, unless the exp of the right answer came so close to
    0 that digits were lost; the largest score is not below that one.
    """
    shift_N = jnp.maximum(self.reach_N - SMALL, 0.0)
    return lax.cond(
      jnp.all(self.right_N - shift_N >= -SMALL + MARGIN),
      lambda: shift_N,
      self._largest,
    )

  def _largest(self) -> jax.Array:
    largest_N = jnp.maximum(jnp.max(self.scores_NC, axis=1), self.right_N)
    return lax.pmax(largest_N, self.axes) if self.axes else largest_N


Row = Callable[[Tile], tuple[jax.Array, jax.Array, jax.Array, jax.Array]]
"""tile → values [N]; slopes [N, C] and factors [N] for the scores; slopes [N]
for the score of the right answer."""


def softmax(
  tile: Tile,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
  """log Σ exp(score) - right."""
  shift_N = tile.shift()
  slopes_NC = tile.exp(shift_N)
  sum_N = tile.sum(slopes_NC)
  value_N = shift_N + jnp.log(sum_N) - tile.right_N
  return value_N, slopes_NC, 1.0 / sum_N, -jnp.ones_like(sum_N)
