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

  A new row of a table is 0: of a product or a tag only its content is known,
  and that says what it said before there was a row. A new bias is the mean of
  the trained ones. New rows of the optimizer's moments are 0.

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

  def zeros(old: Array, count: int) -> Array:
    return jnp.zeros((count, *old.shape[1:]), old.dtype)

  with_zeros = each(zeros)
  untrained = each(
    lambda old, count: (
      zeros(old, count) if old.ndim > 1 else jnp.full(count, old.mean())
    )
  )
  return TrainState(
    step=trained.step,
    params=jax.tree.map(untrained, trained.params, wanted.params),
    opt_state=jax.tree.map(with_zeros, trained.opt_state, wanted.opt_state),
    ema=jax.tree.map(untrained, trained.ema, wanted.ema),
    skipped=trained.skipped,
    skipped_in_row=trained.skipped_in_row,
    last_skipped=trained.last_skipped,
    usual=trained.usual,
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
