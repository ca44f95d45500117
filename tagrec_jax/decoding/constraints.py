"""Sets of tags that obey rules: only some may be given, or one of a group."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.decoding import topk


@dataclasses.dataclass(frozen=True)
class Constraints:
  """What a list must obey.

  Attributes:
    allowed_C: bool, which entries may be given.
    groups_C: int32, entries of one group exclude each other; UNKNOWN for those
      that exclude none.
  """

  allowed_C: np.ndarray
  groups_C: np.ndarray

  @classmethod
  def of(
    cls,
    names: Sequence[str],
    *,
    allowed: Sequence[str] = ("*",),
    exclusive: Sequence[str] = (),
  ) -> Constraints:
    """Reads rules written with names and patterns, such as 'role::*'.

    Args:
      names: of the catalogue's entries.
      allowed: an entry may be given if one of these patterns fits it.
      exclusive: of those that fit one of these, at most one is given; the first
        pattern that fits an entry has it.

    Raises:
      UserError: a pattern that no entry fits.
    """
    allowed_C = np.zeros(len(names), bool)
    groups_C = np.full(len(names), UNKNOWN, np.int32)
    for pattern in allowed:
      allowed_C |= _fitting(pattern, names)
    for group, pattern in enumerate(exclusive):
      groups_C[_fitting(pattern, names) & (groups_C == UNKNOWN)] = group
    return cls(allowed_C, groups_C)

  def first(self, size: int) -> Constraints:
    """Those of the first entries alone."""
    return Constraints(self.allowed_C[:size], self.groups_C[:size])

  def scores(self, scores_BC: Float[Array, "B C"]) -> Float[Array, "B C"]:
    """Scores in which what must not be given has -inf.

    Of each group its best entry is left, of equal ones that of smaller index.
    That is what a greedy choice by score would take, and of all lists that obey
    the rules the one with the highest scores, place by place.
    """
    return _obeying(
      scores_BC, jnp.asarray(self.allowed_C), jnp.asarray(self.groups_C)
    )

  def after(self, given_BWT: Int[Array, "B W T"]) -> Bool[Array, "B W C"]:
    """Which entries a list may go on with, after those it holds.

    Args:
      given_BWT: padded by UNKNOWN. None of them is given again.
    """
    size = len(self.groups_C)
    own_C = np.where(self.groups_C < 0, size + np.arange(size), self.groups_C)
    found, places_C = np.unique(own_C, return_inverse=True)
    group_C = jnp.asarray(places_C, jnp.int32)
    none = len(found)
    group_BWT = jnp.where(
      given_BWT < 0, none, group_C[jnp.maximum(given_BWT, 0)]
    )
    rows, beams, _ = given_BWT.shape
    rows_B11 = jnp.arange(rows)[:, None, None]
    beams_1W1 = jnp.arange(beams)[None, :, None]
    free_BWG = jnp.ones((rows, beams, none), bool)
    free_BWG = free_BWG.at[rows_B11, beams_1W1, group_BWT].set(
      False, mode="drop"
    )
    return jnp.asarray(self.allowed_C)[None, None] & free_BWG[:, :, group_C]


def constrained_top_k(
  scores_BC: Float[Array, "B C"],
  k: int,
  seen_BH: Int[Array, "B H"],
  constraints: Constraints,
) -> tuple[Int[Array, "B K"], Float[Array, "B K"]]:
  """`topk.top_k` under constraints.

  What was seen is no candidate, and keeps no other entry of its group away.

  Args:
    constraints: of at least these entries, which are the first of theirs: a
      model without content of tags knows only those of training.
  """
  rules = constraints.first(scores_BC.shape[1])
  candidates_BC = topk.overwrite(
    topk.comparable(scores_BC), seen_BH, topk.NEVER
  )
  return topk.top_k(rules.scores(candidates_BC), k, seen_BH)


@jax.jit
def _obeying(
  scores_BC: jax.Array, allowed_C: jax.Array, groups_C: jax.Array
) -> jax.Array:
  scores_BC = jnp.where(allowed_C[None], topk.comparable(scores_BC), topk.NEVER)
  size = scores_BC.shape[1]
  # What excludes nothing is a group of its own, after all others.
  ids_C = jnp.arange(size, dtype=jnp.int32)
  own_C = jnp.where(groups_C < 0, size + ids_C, groups_C)

  def kept(scores_C: jax.Array) -> jax.Array:
    best_G = jax.ops.segment_max(scores_C, own_C, 2 * size)
    best_C = scores_C == best_G[own_C]
    first_G = jax.ops.segment_min(
      jnp.where(best_C, ids_C, size), own_C, 2 * size
    )
    return first_G[own_C] == ids_C

  return jnp.where(jax.vmap(kept)(scores_BC), scores_BC, topk.NEVER)


def _fitting(pattern: str, names: Sequence[str]) -> np.ndarray:
  fits_C = np.array([fnmatch.fnmatchcase(name, pattern) for name in names])
  if not fits_C.any():
    raise UserError(
      "constraint",
      f"found '{pattern}', which no tag fits",
      "a tag, or a pattern such as 'role::*'",
      "look up the tags of the data set",
    )
  return fits_C
