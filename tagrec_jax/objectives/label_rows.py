"""Row functions for questions with several right answers.

They find the labels' scores in the tile, and put the labels' slopes there: no
vector of a label is looked up.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax

from tagrec_jax.objectives.rows import SMALL, Tile


def decoupled(
  tile: Tile,
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
  """Σ share · log(1 + Σ exp(wrong - right)).

  The right ones are put out of the sum: taken off it again they would leave
  rounding as large as the largest of them.
  """
  right_NM = tile.right_NM
  shift_N = _shift_of_wrong(tile)
  exp_NC = tile.put(tile.exp(shift_N), 0.0)
  sum_N = tile.sum(exp_NC)
  some_N = jnp.where(sum_N > 0, sum_N, 1.0)
  log_N = jnp.where(sum_N > 0, shift_N + jnp.log(some_N), -jnp.inf)
  margin_NM = log_N[:, None] - right_NM
  slope_NM = tile.share_NM * jax.nn.sigmoid(margin_NM)
  slope_N = slope_NM.sum(axis=1)
  # Slopes of labels, too, are later multiplied by slope / sum.
  scale_N = some_N / jnp.where(slope_N > 0, slope_N, 1.0)
  return (
    (tile.share_NM * jax.nn.softplus(margin_NM)).sum(axis=1),
    tile.put(exp_NC, -slope_NM * scale_N[:, None]),
    slope_N / some_N,
    jnp.zeros_like(sum_N),
  )


def _shift_of_wrong(tile: Tile) -> jax.Array:
  """[N], as `Tile.shift`, with no regard to right answers."""

  def largest() -> jax.Array:
    largest_N = jnp.max(tile.put(tile.scores_NC, -jnp.inf), axis=1)
    if tile.axes:
      largest_N = lax.pmax(largest_N, tile.axes)
    return jnp.where(largest_N > -jnp.inf, largest_N, 0.0)

  return lax.cond(
    jnp.all(tile.reach_N <= SMALL),
    lambda: jnp.zeros_like(tile.reach_N),
    largest,
  )


@dataclasses.dataclass(frozen=True)
class Binary:
  """Σ share · log(1 + exp(-right)) + Σ cost(wrong).

  cost(s) = -q^gamma · log(1 - q), q = max(σ(s) - margin, 0).
  """

  gamma: float = 0.0
  margin: float = 0.0

  def __call__(
    self, tile: Tile
  ) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    cost_NC, slopes_NC = self.wrong(tile.scores_NC)
    right_NM = tile.right_NM
    counted_NM = jnp.where(tile.share_NM > 0, self.wrong(right_NM)[0], 0.0)
    right_cost_NM = tile.share_NM * jax.nn.softplus(-right_NM)
    value_N = tile.sum(cost_NC) + (right_cost_NM - counted_NM).sum(axis=1)
    right_slopes_NM = -tile.share_NM * jax.nn.sigmoid(-right_NM)
    return (
      value_N,
      tile.put(slopes_NC, right_slopes_NM),
      jnp.ones_like(value_N),
      jnp.zeros_like(value_N),
    )

  def wrong(self, s: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The cost of wrong entries with scores s, and its derivative."""
    p, rest = jax.nn.sigmoid(s), jax.nn.sigmoid(-s)  # 1 - p loses digits
    if self.margin:
      q = jnp.maximum(p - self.margin, 0.0)
      left = jnp.minimum(rest + self.margin, 1.0)
      log_left, share = -jnp.log(left), rest / left
    else:
      q, log_left, share = p, jax.nn.softplus(s), jnp.ones_like(s)
    power = _power(q, self.gamma)
    # d cost / dq = gamma · q^(gamma - 1) · log_left + q^gamma / (1 - q), and
    # log_left / q → 1 as q → 0.
    ratio = jnp.where(q > 1e-6, log_left / jnp.maximum(q, 1e-6), 1.0)
    slope = power * p * (self.gamma * ratio * rest + share)
    if self.margin:
      slope = jnp.where(q > 0, slope, 0.0)
    return power * log_left, slope


def _power(q: jax.Array, gamma: float) -> jax.Array:
  """q^gamma, by multiplication where that will do."""
  return q ** int(gamma) if gamma == int(gamma) else q**gamma
