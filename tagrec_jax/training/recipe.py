"""What is trained, as pure functions: all a step has to know."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from jaxtyping import Array

from tagrec_jax.core.sums import Sum
from tagrec_jax.training.optimizer import Optimizer


@dataclasses.dataclass(frozen=True)
class Recipe:
  """A model, its losses and its optimizer.

  Attributes:
    init: key → parameters, a pure dict of arrays.
    axes: the logical axes of each parameter, a parallel pure dict.
    losses: (params, batch, key, shard, rows) → task → Sum over the batch given.
      `shard` numbers the part of the batch where each device sees only its own
      part, and is 0 where the function sees all of it. A weight may depend on
      the batch, never on the parameters. `rows`: see below.
    weights: task → its weight in the loss; the loss is the weighted sum of
      each task's mean over the global batch.
    optimizer: as made by `make_optimizer`.
    ema_decay: of the averaged parameters; 0 keeps none.
    max_loss_rise: a step whose loss is more than (1 + this) times the running
      mean is not applied; 0: every finite one is.
    accumulate_steps: parts of a batch that are taken one after another and
      whose gradients are added up before an update.
    seed: of parameters and of all noise.
    rows: (batch, key, axis_name) → the products that a step reads; `losses` is
      given only these rows of the parameters with an axis 'products', and the
      rows. None where all are read: then `losses` gets None too.
    lazy: the rows that are not read keep parameters and moments as they are:
      no decay, no momentum. A step then costs the same for any catalogue.
  """

  init: Callable[[Array], dict[str, Any]]
  axes: dict[str, Any]
  losses: Callable[..., dict[str, Sum]]
  weights: Mapping[str, float]
  optimizer: Optimizer
  ema_decay: float = 0.0
  max_loss_rise: float = 0.0
  accumulate_steps: int = 1
  seed: int = 0
  rows: Callable[..., Any] | None = None
  lazy: bool = False
