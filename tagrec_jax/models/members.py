"""Models that learn side by side and answer together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float


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
