"""Models that learn side by side and answer together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from tagrec_jax.core.sums import Sum


class Members(nnx.Module):
  """Models of one kind, each begun with other parameters.

  So their mistakes differ, and together they make fewer.

  Source: Lakshminarayanan et al. 2017, Deep ensembles (arXiv 1612.01474).

  Args:
    make: rngs → one of them.
    count: how many.
  """

  def __init__(
    self, make: Callable[[nnx.Rngs], nnx.Module], count: int, rngs: nnx.Rngs
  ):
    self.members: Sequence[Any] = nnx.List([make(rngs) for _ in range(count)])

  def loss(self, key: Array, loss: Callable[[Any, Array], Sum]) -> Sum:
    """The mean of the members' losses, each with noise of its own.

    Args:
      key: of all noise of this step.
      loss: (member, key) → its loss; all of the same weight.
    """
    each = [
      loss(member, jax.random.fold_in(key, number))
      for number, member in enumerate(self.members)
    ]
    total = sum((one.total / len(each) for one in each), start=jnp.zeros(()))
    return Sum(total, each[0].weight)


def together(
  answers: Sequence[Float[Array, "B C"]],
) -> Float[Array, "B C"]:
  """Log of the geometric mean of the members' probabilities.

  Of one member the scores are as they are.
  """
  if len(answers) == 1:
    return answers[0]
  logs = [jax.nn.log_softmax(answer) for answer in answers]
  return sum(logs[1:], start=logs[0]) / len(logs)
