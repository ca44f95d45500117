"""A step on a part of the state: of long tables, the rows that it reads."""

from __future__ import annotations

from typing import Any

import jax
from jaxtyping import Array, Int

from tagrec_jax.training.optimizer import map_moments
from tagrec_jax.training.recipe import Recipe
from tagrec_jax.training.state import TrainState

LONG = "products"
"""The logical axis of tables that have a row for each product."""


def long_params(axes: Any) -> Any:
  """Which parameters are long, from the logical axes of each."""
  return jax.tree.map(
    lambda names: names[:1] == (LONG,),
    axes,
    is_leaf=lambda leaf: isinstance(leaf, tuple),
  )


def long_state(recipe: Recipe, state: TrainState) -> TrainState:
  """Which leaves of a state are long: such parameters and their moments."""
  long = long_params(recipe.axes)
  none = jax.tree.map(lambda _: False, state)
  return TrainState(
    step=False,
    params=long,
    opt_state=map_moments(
      recipe.optimizer.transform,
      lambda _, is_long: is_long,
      none.opt_state,
      long,
      others=lambda _: False,
    ),
    ema=none.ema,
    skipped=False,
    skipped_in_row=False,
    last_skipped=False,
    usual=none.usual,
  )


def take(long: Any, tree: Any, rows_R: Int[Array, " R"]) -> Any:
  """The tree with only the given rows of its long leaves.

  A row past the end is 0, as if it had never been trained.
  """
  return jax.tree.map(
    lambda is_long, leaf: (
      leaf.at[rows_R].get(
        mode="fill",
        fill_value=0,
        indices_are_sorted=True,
      )
      if is_long
      else leaf
    ),
    long,
    tree,
  )


def put(long: Any, tree: Any, part: Any, rows_R: Int[Array, " R"]) -> Any:
  """The tree after its part: long leaves with these rows, the others anew."""
  return jax.tree.map(
    lambda is_long, leaf, new: (
      leaf.at[rows_R].set(new, mode="drop", indices_are_sorted=True)
      if is_long
      else new
    ),
    long,
    tree,
    part,
  )
