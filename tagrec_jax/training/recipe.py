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
    losses: (params, batch, key, shard) → task → Sum over the rows given.
      `shard` numbers the part of the batch where each device sees only its own
      rows, and is 0 where the function sees all of them. A weight may depend
      on the batch, never on the parameters.
    weights: task → its weight in the loss; the loss is the weighted sum of
      each task's mean over the global batch.
    optimizer: as made by `make_optimizer`.
    ema_decay: of the averaged parameters; 0 keeps none.
    seed: of parameters and of all noise.
  """

  init: Callable[[Array], dict[str, Any]]
  axes: dict[str, Any]
  losses: Callable[..., dict[str, Sum]]
  weights: Mapping[str, float]
  optimizer: Optimizer
  ema_decay: float = 0.0
  seed: int = 0
