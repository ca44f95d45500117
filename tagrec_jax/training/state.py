"""Everything a step changes, in one tree."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from tagrec_jax.core.rng import named_key
from tagrec_jax.training.recipe import Recipe


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
  """The state between two steps.

  No random state: the noise of a step follows from the seed and `step`.

  Attributes:
    step: int32, batches taken.
    params: pure dict of parameters.
    opt_state: of the optimizer.
    ema: averaged parameters; an empty dict where they are not wanted.
    skipped: int32, steps whose update was not finite, or whose loss was far too
      high, and that were not applied.
    skipped_in_row: int32, how many of them since the last good step.
    last_skipped: int32, the last such step; -1 for none.
    usual: 'loss', its running mean over applied steps, and 'steps', how many
      they were; an empty dict where the loss has no limit.
  """

  step: Any
  params: dict[str, Any]
  opt_state: Any
  ema: dict[str, Any]
  skipped: Any
  skipped_in_row: Any
  last_skipped: Any
  usual: dict[str, Any]

  @property
  def answering(self) -> dict[str, Any]:
    """The parameters to evaluate and serve."""
    return self.ema or self.params


def new_state(recipe: Recipe) -> TrainState:
  """The state before the first step."""
  params = recipe.init(named_key(recipe.seed, "params"))
  return TrainState(
    step=jnp.int32(0),
    params=params,
    opt_state=recipe.optimizer.transform.init(params),
    ema=jax.tree.map(jnp.copy, params) if recipe.ema_decay else {},
    skipped=jnp.int32(0),
    skipped_in_row=jnp.int32(0),
    last_skipped=jnp.int32(-1),
    usual={"loss": jnp.float32(0), "steps": jnp.int32(0)}
    if recipe.max_loss_rise
    else {},
  )
