"""One update: batch in, better parameters and sums out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from tagrec_jax.core.sums import Sum
from tagrec_jax.layers.placing import ANYWHERE, Place, with_place
from tagrec_jax.training.recipe import Recipe
from tagrec_jax.training.rows import LONG, long_params, long_state, put, take
from tagrec_jax.training.state import TrainState

FIRST_STEPS = 20
"""That have no limit of their loss: what is usual is not known yet."""

LAST_STEPS = 50
"""About so many steps say what is usual."""

NOT_FINITE, TOO_HIGH = 1, 2
"""Why a step is not applied."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Report:
  """What one step tells; scalars that stay on the device until they are read.

  Attributes:
    sums: 'loss/<task>', 'loss', 'gradient_norm' (before clipping),
      'update_norm', 'learning_rate': of applied updates only. 'skipped': the
      fraction of steps that were not applied.
    bad: 0 if it was applied, else why not: `NOT_FINITE` or, finite as it was,
      `TOO_HIGH`; of several steps in a call, of each.
    skipped_in_row, last_skipped: as in `TrainState`.
    bad_leaf: index, among the leaves of the parameters, of the first whose
      gradient is not finite; -1 if none is.
  """

  sums: dict[str, Sum]
  bad: Any
  skipped_in_row: Any
  last_skipped: Any
  bad_leaf: Any


Step = Callable[[TrainState, Mapping[str, Array], Array], tuple[Any, Report]]


def make_train_step(
  recipe: Recipe, axis_name: str | None = None, place: Place = ANYWHERE
) -> Step:
  """(state, batch, key) → (state, report), to be compiled by a backend.

  If the loss, the gradient or the update is not finite, nothing is applied:
  parameters, optimizer state and averages stay as they are, bit for bit; the
  step is counted and the next one takes the next batch. So it is if the loss is
  above the limit of the recipe.

  Args:
    axis_name: of the devices if each runs the step on its own rows; None if
      the program sees the whole batch.
    place: where arrays lie while the losses are computed.
  """
  differentiate = _differentiate(recipe, axis_name, place)

  def step(
    state: TrainState, batch: Mapping[str, Array], key: Array
  ) -> tuple[TrainState, Report]:
    key = jax.random.fold_in(key, state.step)
    rows = recipe.rows(batch, key, axis_name) if recipe.rows else None
    part = state
    if rows is not None and recipe.lazy:
      long = long_state(recipe, state)
      part = take(long, state, rows)
    part, report = _update(
      recipe, part, *differentiate(part.params, batch, key, rows)
    )
    if rows is not None and recipe.lazy:
      return put(long, state, part, rows), report
    return part, report

  return step


Differentiated = tuple[Array, dict[str, Sum], Any]
"""The loss, the sums of each task and the gradient."""


def _differentiate(
  recipe: Recipe, axis_name: str | None, place: Place
) -> Callable[..., Differentiated]:
  """(params, batch, key, rows) → what a whole batch says, see above."""
  if recipe.rows:
    place = place.few(LONG)  # each device holds all rows that are read
  all_losses = with_place(place, recipe.losses)
  parts = recipe.accumulate_steps

  def all_sum(tree: Any) -> Any:
    return jax.lax.psum(tree, axis_name) if axis_name else tree

  def sums_of(
    params: Any, batch: Any, key: Array, rows: Any, part: Any = 0
  ) -> dict[str, Sum]:
    """This device's own, of one part of the batch."""
    device = jax.lax.axis_index(axis_name) if axis_name else 0
    if rows is not None and not recipe.lazy:
      params = take(long_params(recipe.axes), params, rows)
    # The key is the same, so that what is drawn for a batch is drawn once.
    sums = all_losses(params, batch, key, device * parts + part, rows)
    return {task: sums[task] for task in recipe.weights}

  def share(
    params: Any, weights: Any, *rest: Any
  ) -> tuple[Array, dict[str, Sum]]:
    """The share that a device and a part have in the global loss."""
    sums = sums_of(params, *rest)
    if weights is None:
      weights = all_sum({task: each.weight for task, each in sums.items()})
    loss = jnp.zeros(())
    for task, weight in recipe.weights.items():
      # A mean of the parts' means would weigh sparse parts too much.
      counted = jax.lax.stop_gradient(weights[task])
      loss += weight * Sum(sums[task].total, counted).mean()
    return loss, sums

  def at_once(params: Any, weights: Any, *rest: Any) -> Differentiated:
    found = jax.value_and_grad(share, has_aux=True)(params, weights, *rest)
    (loss, sums), gradient = found
    return loss, sums, gradient

  def whole(params: Any, batch: Any, key: Array, rows: Any) -> Differentiated:
    if parts == 1:
      return all_sum(at_once(params, None, batch, key, rows))
    cut = jnp.arange(parts), _cut(batch, parts, place)
    weights = all_sum(_weights(sums_of, params, cut, key, rows))
    return all_sum(_added_up(at_once, params, weights, cut, key, rows))

  return whole


def _weights(
  sums_of: Callable[..., dict[str, Sum]],
  params: Any,
  cut: tuple[Array, Any],
  key: Array,
  rows: Any,
) -> dict[str, Array]:
  """What the tasks count in all parts of a batch.

  It does not depend on parameters: of a model, the compiler leaves only what
  counts the questions.
  """

  def of_part(one: tuple[Array, Any]) -> dict[str, Array]:
    sums = sums_of(params, one[1], key, rows, one[0])
    return {task: each.weight for task, each in sums.items()}

  return jax.tree.map(lambda x: x.sum(0), jax.lax.map(of_part, cut))


def _added_up(
  at_once: Callable[..., Differentiated],
  params: Any,
  weights: dict[str, Array],
  cut: tuple[Array, Any],
  key: Array,
  rows: Any,
) -> Differentiated:
  """What the parts of a batch say, one after another."""

  def add(sofar: Any, one: tuple[Array, Any]) -> tuple[Any, None]:
    found = at_once(params, weights, one[1], key, rows, one[0])
    return jax.tree.map(jnp.add, sofar, found), None

  first = jax.tree.map(lambda x: x[0], cut[1])
  shapes = jax.eval_shape(at_once, params, weights, first, key, rows)
  none = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
  return jax.lax.scan(add, none, cut)[0]


def _cut(batch: Any, parts: int, place: Place) -> Any:
  """The rows of a batch in order: name → array [parts, rows, ...]."""
  return jax.tree.map(
    lambda x: place.spread(
      x.reshape(parts, -1, *x.shape[1:]),
      (None, "rows", "positions", *[None] * x.ndim)[: x.ndim + 1],
    ),
    batch,
  )


def _update(
  recipe: Recipe,
  state: TrainState,
  loss: Array,
  tasks: dict[str, Sum],
  gradient: Any,
) -> tuple[TrainState, Report]:
  """Applies a gradient if all of it is finite, and tells of it."""
  updates, opt_state = recipe.optimizer.transform.update(
    gradient, state.opt_state, state.params
  )
  squares_L = _squares(gradient)
  norms = {
    "gradient_norm": jnp.sqrt(squares_L.sum()),
    "update_norm": jnp.sqrt(_squares(updates).sum()),
  }
  finite = jnp.isfinite(loss + sum(norms.values()))
  good = finite & _is_usual(recipe, state, loss)
  applied = state.step - state.skipped
  after = _advance(recipe, state, updates, opt_state, loss, good)
  scalars = {
    "loss": loss,
    **norms,
    "learning_rate": jnp.asarray(recipe.optimizer.schedule(applied)),
  }
  sums = {f"loss/{task}": value for task, value in tasks.items()}
  sums |= {n: Sum(v, jnp.ones(())) for n, v in scalars.items()}
  # One bad step must not spoil the means of the good ones around it.
  sums = jax.tree.map(lambda x: jnp.where(good, x, jnp.zeros_like(x)), sums)
  sums["skipped"] = Sum(jnp.where(good, 0.0, 1.0), jnp.ones(()))
  bad_L = ~jnp.isfinite(squares_L)
  bad_leaf = jnp.where(bad_L.any(), jnp.argmax(bad_L), -1)
  in_row, last = after.skipped_in_row, after.last_skipped
  bad = jnp.where(good, 0, jnp.where(finite, TOO_HIGH, NOT_FINITE))
  return after, Report(sums, bad, in_row, last, bad_leaf)


def _is_usual(recipe: Recipe, state: TrainState, loss: Array) -> Array:
  """Whether a loss is below its limit; so are the first ones, whatever."""
  if not recipe.max_loss_rise:
    return jnp.bool_(True)
  limit = (1 + recipe.max_loss_rise) * state.usual["loss"]
  return (state.usual["steps"] < FIRST_STEPS) | (loss <= limit)


def _usual_after(state: TrainState, loss: Array) -> dict[str, Any]:
  """The running mean: of all steps at first, later of about the last 50.

  Only steps that are applied come here, so one that is far too high never
  raises the limit of the next.
  """
  if not state.usual:
    return {}
  steps = state.usual["steps"] + 1
  weight = jnp.maximum(1 / steps.astype(jnp.float32), 1 / LAST_STEPS)
  mean = state.usual["loss"]
  return {"loss": mean + (loss - mean) * weight, "steps": steps}


def _advance(
  recipe: Recipe,
  state: TrainState,
  updates: Any,
  opt_state: Any,
  loss: Array,
  good: Array,
) -> TrainState:
  """The next state; all but the counters unchanged unless `good`."""
  params = optax.apply_updates(state.params, updates)
  # Early averages forget fast, or they would remember the random start.
  applied = (state.step - state.skipped).astype(jnp.float32)
  decay = jnp.minimum(recipe.ema_decay, (1 + applied) / (10 + applied))
  ema = (
    jax.tree.map(
      lambda old, new: old * decay + new * (1 - decay), state.ema, params
    )
    if state.ema
    else {}
  )
  params, opt_state, ema, usual = jax.tree.map(
    lambda new, old: jnp.where(good, new, old),
    (params, opt_state, ema, _usual_after(state, loss)),
    (state.params, state.opt_state, state.ema, state.usual),
  )
  bad = (~good).astype(jnp.int32)
  return TrainState(
    step=state.step + 1,
    params=params,
    opt_state=opt_state,
    ema=ema,
    skipped=state.skipped + bad,
    skipped_in_row=jnp.where(good, 0, state.skipped_in_row + 1),
    last_skipped=jnp.where(good, state.last_skipped, state.step),
    usual=usual,
  )


def _squares(tree: Any) -> Float[Array, "L"]:
  """The sum of squares of each leaf."""
  return jnp.stack(
    [jnp.square(x.astype(jnp.float32)).sum() for x in jax.tree.leaves(tree)]
  )
