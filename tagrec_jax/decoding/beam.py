"""Beam search in XLA: the best sequences, token by token, under rules.

All beams of all rows advance in one compiled loop of fixed shapes. Live beams
are kept in the order of their tokens, not of their scores, so that wherever
scores are equal the sequence of smaller tokens wins.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt32

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.decoding import topk
from tagrec_jax.decoding.topk import NEVER
from tagrec_jax.layers.noise import mix

_SPARE = 4
"""Times the beam that is looked at for sets that are the same."""

State = Any
"""What the model remembers of each beam: a pytree of arrays [B, W, ...]."""

Step = Callable[[State, Array, Array], tuple[Array, State]]
"""(state, tokens int32 [B, W], place) → (scores [B, W, V], state).

`tokens` were written last, UNKNOWN before the first and in beams that do not
exist; `place`, a scalar, is how many have been written. Scores are logits or
log probabilities of the next token."""

Allowed = Callable[[Array], Array]
"""Tokens written so far, int32 [B, W, T], UNKNOWN where not yet → bool [B, W,
V], what may come next."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Found:
  """The W best sequences of each row, best first.

  Attributes:
    tokens_BWT: int32, UNKNOWN after the last one; the end is not written.
    scores_BW: float32, see `beam_search`; -inf where a row has no more.
  """

  tokens_BWT: Int[Array, "B W T"]
  scores_BW: Float[Array, "B W"]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class _Loop:
  """Between two steps: beams that go on, and sequences that have ended."""

  place: Any
  live: Found
  ended: Found
  state: State


def beam_search(
  step: Step,
  state: State,
  *,
  rows: int,
  width: int,
  length: int,
  end: int | None = None,
  allowed: Allowed | None = None,
  length_power: float = 0.0,
  sets: bool = False,
) -> Found:
  """The sequences of highest probability that a beam of this width meets.

  A sequence ends with the token `end`, or when it has `length` tokens. Its
  score is the sum of the log probabilities of its tokens, the end among them,
  over their number to the power `length_power`. Probabilities are made of what
  may come next alone, so those of all sequences sum to 1. If the beam is as
  wide as there are beginnings of sequences, nothing is missed.

  Equal scores: what ended earlier comes first, then what has the smaller token
  where two sequences differ first.

  Args:
    step: of the model, see `Step`; called once each place, for all beams.
    state: before the first token, of all W beams of all rows.
    rows, width, length: B, W, T.
    end: token after which nothing follows; None where all sequences have
      `length` tokens.
    allowed: None lets everything follow everything. It rules the end too.
    length_power: 0 prefers short sequences; 1 compares means.
    sets: beams that hold the same tokens in another order become one, which
      has the sum of their probabilities and goes on from the likelier order.
      So a set of many tokens, which has many orders, is not overlooked.
  """
  shape = (rows, width)
  nothing = Found(
    jnp.full((*shape, length), UNKNOWN, jnp.int32), jnp.full(shape, NEVER)
  )
  # One beam is alive: W equal ones would find everything W times.
  first = Found(nothing.tokens_BWT, nothing.scores_BW.at[:, 0].set(0.0))

  def normal(scores: Array, tokens: Array | int) -> Array:
    return scores / jnp.asarray(tokens, jnp.float32) ** length_power

  def goes_on(loop: _Loop) -> Array:
    # A probability only falls: what cannot enter the list now never will.
    live_BW = loop.live.scores_BW
    hope_B = jax.nn.logsumexp(live_BW, axis=1) if sets else live_BW.max(axis=1)
    hope_B = normal(hope_B, length)
    worst_B = loop.ended.scores_BW.min(axis=1)
    return (loop.place < length) & (hope_B > worst_B).any()

  def advance(loop: _Loop) -> _Loop:
    place, live, ended = loop.place, loop.live, loop.ended
    last_BW = live.tokens_BWT[:, :, jnp.maximum(place - 1, 0)]
    scores_BWV, state = step(loop.state, last_BW, place)
    if allowed is not None:
      may_BWV = allowed(live.tokens_BWT)
      scores_BWV = jnp.where(may_BWV, scores_BWV, NEVER)
    log_BWV = jax.nn.log_softmax(scores_BWV.astype(jnp.float32))
    total_BWV = topk.comparable(live.scores_BW[..., None] + log_BWV)
    if end is not None:
      now_BW = normal(total_BWV[:, :, end], place + 1)
      ended = _best(_joined(ended, Found(live.tokens_BWT, now_BW)), width)
      total_BWV = total_BWV.at[:, :, end].set(NEVER)
    live, parents_BW = _extended(live, total_BWV, place, sets)
    state = jax.tree.map(lambda leaf: _rows_of(leaf, parents_BW), state)
    return _Loop(place + 1, live, ended, state)

  loop = _Loop(jnp.int32(0), first, nothing, state)
  loop = jax.lax.while_loop(goes_on, advance, loop)
  cut = Found(loop.live.tokens_BWT, normal(loop.live.scores_BW, length))
  # Where the loop ended early, none of these is as good as those.
  found = _best(_joined(loop.ended, cut), width)
  best_BW, scores_BW = topk.largest(found.scores_BW, width)
  tokens_BWT = _rows_of(found.tokens_BWT, jnp.maximum(best_BW, 0))
  return Found(
    jnp.where(best_BW[..., None] < 0, UNKNOWN, tokens_BWT), scores_BW
  )


def _extended(
  live: Found, total_BWV: Float[Array, "B W V"], place: Array, sets: bool
) -> tuple[Found, Int[Array, "B W"]]:
  """The best W continuations in the order of tokens, and what they continue."""
  rows, width, size = total_BWV.shape
  flat_BX = total_BWV.reshape(rows, width * size)
  if sets:
    flat_BX = _merged(live, flat_BX, _SPARE * width)
  places_BW, scores_BW = _kept(flat_BX, width)
  gone_BW = scores_BW == NEVER
  parents_BW = jnp.where(gone_BW, 0, places_BW // size)
  written_BW = jnp.where(gone_BW, UNKNOWN, places_BW % size)
  tokens_BWT = _rows_of(live.tokens_BWT, parents_BW)
  tokens_BWT = tokens_BWT.at[:, :, place].set(written_BW)
  return Found(tokens_BWT, scores_BW), parents_BW


def _merged(
  live: Found, flat_BX: Float[Array, "B X"], most: int
) -> Float[Array, "B X"]:
  """Of continuations to one set the best has the score of all, others none.

  Args:
    flat_BX: scores of beams and what they may go on with, X = W · V.
    most: continuations looked at, the best; all others are dropped.
  """
  width, every = live.scores_BW.shape[1], flat_BX.shape[1]
  places_BK, scores_BK = _kept(flat_BX, min(most, every))
  inside_BK = jnp.minimum(places_BK, every - 1)
  size = every // width
  written_BW2 = _number(live.tokens_BWT).sum(axis=2, dtype=jnp.uint32)
  name_BK2 = _rows_of(written_BW2, inside_BK // size)
  name_BK2 = name_BK2 + _number(inside_BK % size)
  same_BKK = (name_BK2[:, :, None] == name_BK2[:, None]).all(axis=-1)
  total_BK = jax.nn.logsumexp(
    jnp.where(same_BKK, scores_BK[:, None], NEVER), axis=2
  )
  before_KK = jnp.arange(scores_BK.shape[1])
  before_KK = before_KK[None] < before_KK[:, None]
  equal_BKK = scores_BK[:, None] == scores_BK[:, :, None]
  better_BKK = (scores_BK[:, None] > scores_BK[:, :, None]) | (
    equal_BKK & before_KK[None]
  )
  best_BK = ~(same_BKK & better_BKK).any(axis=2)
  total_BK = jnp.where(best_BK & (scores_BK > NEVER), total_BK, NEVER)
  rows_B1 = jnp.arange(len(flat_BX))[:, None]
  none_BX = jnp.full(flat_BX.shape, NEVER)
  return none_BX.at[rows_B1, places_BK].set(total_BK, mode="drop")


def _number(tokens: Int[Array, "*any"]) -> UInt32[Array, "*any 2"]:
  """64 bits for each token; a set is named by their sum, 0 for padding."""
  seeds_2 = jnp.array([0x9E3779B9, 0x7F4A7C15], jnp.uint32)
  bits = mix(tokens[..., None].astype(jnp.uint32) * jnp.uint32(0x9E3779B1))
  seeds = seeds_2.reshape((1,) * tokens.ndim + (2,))
  return jnp.where(tokens[..., None] < 0, jnp.uint32(0), mix(bits + seeds))


def _joined(one: Found, other: Found) -> Found:
  return jax.tree.map(lambda a, b: jnp.concatenate([a, b], axis=1), one, other)


def _best(found: Found, width: int) -> Found:
  """The best of them, in the order in which they stand."""
  places_BW, scores_BW = _kept(found.scores_BW, width)
  last = found.scores_BW.shape[1] - 1
  rows_BWT = _rows_of(found.tokens_BWT, jnp.minimum(places_BW, last))
  return Found(rows_BWT, scores_BW)


def _kept(
  scores_BX: Float[Array, "B X"], width: int
) -> tuple[Int[Array, "B W"], Float[Array, "B W"]]:
  """Places of the best W, ascending; X with score -inf where there are less."""
  size = scores_BX.shape[1]
  places_BW, _ = topk.largest(scores_BX, width)
  places_BW = jnp.sort(jnp.where(places_BW < 0, size, places_BW), axis=1)
  scores_BW = jnp.take_along_axis(
    scores_BX, places_BW, axis=1, mode="fill", fill_value=NEVER
  )
  return places_BW, scores_BW


def _rows_of(leaf: Array, chosen_BW: Int[Array, "B W"]) -> Array:
  """leaf[b, chosen[b, w]] for each b and w."""
  return jax.vmap(lambda rows, chosen: rows[chosen])(leaf, chosen_BW)
