"""A trained state for a catalogue that has become longer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.trees import named_leaves
from tagrec_jax.training.state import TrainState


def grow(trained: TrainState, wanted: Any) -> TrainState:
  """Appends rows for products and tags that came later.

  A new row of a parameter is the mean of the trained ones: of a product that
  has only an id nothing better is known, and what its content says is added to
  it as always. New rows of the optimizer's moments are 0.

  Args:
    trained: of the catalogue before.
    wanted: the shapes of the state for the longer one.

  Raises:
    UserError: if anything but the number of rows differs.
  """
  check_longer(trained, wanted)

  def each(rows: Callable[[Array, int], Array]) -> Callable[[Any, Any], Any]:
    return lambda old, new: (
      old
      if old.shape == new.shape
      else jnp.concatenate([old, rows(old, new.shape[0] - old.shape[0])])
    )

  with_means = each(
    lambda old, count: jnp.repeat(old.mean(0, keepdims=True), count, axis=0)
  )
  with_zeros = each(
    lambda old, count: jnp.zeros((count, *old.shape[1:]), old.dtype)
  )
  return TrainState(
    step=trained.step,
    params=jax.tree.map(with_means, trained.params, wanted.params),
    opt_state=jax.tree.map(with_zeros, trained.opt_state, wanted.opt_state),
    ema=jax.tree.map(with_means, trained.ema, wanted.ema),
    skipped=trained.skipped,
    skipped_in_row=trained.skipped_in_row,
    last_skipped=trained.last_skipped,
  )


def check_longer(trained: Any, wanted: Any) -> None:
  """Raises UserError unless every leaf of `wanted` is as long or longer."""
  new = named_leaves(wanted)
  for name, old in named_leaves(trained).items():
    same = old.shape[1:] == new[name].shape[1:]
    if not same or new[name].shape[:1] < old.shape[:1]:
      raise UserError(
        name,
        f"found shape {new[name].shape}",
        f"{old.shape}, or more rows",
        "extend the run with the config it was trained with",
      )
