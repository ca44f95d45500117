"""Negatives: catalogue entries drawn to stand for all the others."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from tagrec_jax.objectives.scores import dot, target_scores


@dataclasses.dataclass(frozen=True)
class Contest:
  """Each question's target and the negatives it has to beat.

  Attributes:
    target_BT: scores of the targets; of row 0 where there is no question.
    scores_BTK: scores of the entries drawn.
    negative_BTK: False where an entry drawn is the target itself.
    weights_K: how many entries each one drawn stands for.
  """

  target_BT: Float[Array, "B T"]
  scores_BTK: Float[Array, "B T K"]
  negative_BTK: Bool[Array, "B T K"]
  weights_K: Float[np.ndarray, " K"]


def contest(
  queries_BTD: Float[Array, "B T D"],
  vectors_CD: Float[Array, "C D"],
  bias_C: Float[Array, " C"],
  targets_BT: Int[Array, "B T"],
  key: Key[Array, ""],
  number: int,
) -> Contest:
  """Draws `number` negatives, once for all questions, and scores them."""
  entries_K, weights_K = draw(key, vectors_CD.shape[0], number)
  scored = queries_BTD, vectors_CD, bias_C, targets_BT
  return Contest(
    target_scores(*scored), *negative_scores(*scored, entries_K), weights_K
  )


def draw(
  key: Key[Array, ""], catalogue: int, number: int
) -> tuple[Int[Array, " K"], Float[np.ndarray, " K"]]:
  """Draws distinct entries, one from each of `number` equal slices.

  Returns:
    The entries, and for each how many entries it stands for: the length of its
    slice, 1 / (the probability of being drawn). A sum over the catalogue is
    estimated without bias by the weighted sum over the entries drawn. If as
    many are drawn as there are, the entries are the catalogue, each once.
  """
  number = min(number, catalogue)
  edges = np.arange(number + 1, dtype=np.int64) * catalogue // number
  first, stop = edges[:-1].astype(np.int32), edges[1:].astype(np.int32)
  entries_K = jax.random.randint(key, (number,), first, stop, jnp.int32)
  return entries_K, (stop - first).astype(np.float32)


def negative_scores(
  queries_BTD: Float[Array, "B T D"],
  vectors_CD: Float[Array, "C D"],
  bias_C: Float[Array, " C"],
  targets_BT: Int[Array, "B T"],
  entries_K: Int[Array, " K"],
) -> tuple[Float[Array, "B T K"], Bool[Array, "B T K"]]:
  """Scores of the same negatives for all questions, and which are negatives.

  An entry that happens to be a question's target is no negative there.
  """
  vectors_KD = vectors_CD[entries_K].astype(queries_BTD.dtype)
  scores_BTK = dot("BTD,KD->BTK", queries_BTD, vectors_KD)
  scores_BTK += bias_C[entries_K][None, None]
  return scores_BTK, entries_K[None, None] != targets_BT[..., None]
