"""How gradients become updates: a rule by name, and what all rules share.

A rule only rescales the gradient. Clipping comes before it; decoupled weight
decay, the learning rate and its schedule after it. Tables of content may have a
rule and a rate of their own.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import OptimizerSettings

Rule = Callable[[OptimizerSettings], optax.GradientTransformation]

_NO_GRADIENT = 1e-14
"""Of a mean square: what is smaller is but the rounding of a gradient of 0,
which Adagrad would turn into steps as large as all others."""


@dataclasses.dataclass(frozen=True)
class Optimizer:
  """An update rule and the schedule inside it.

  Attributes:
    transform: gradients → updates, ready to be added to the parameters.
    schedule: number of updates already made → learning rate.
  """

  transform: optax.GradientTransformation
  schedule: optax.Schedule


def make_optimizer(
  rule: Rule, settings: OptimizerSettings, steps: int, axes: Any
) -> Optimizer:
  """Puts a rule of this module into its frame.

  Args:
    steps: updates of the whole run; a falling schedule reaches 0 there.
    axes: the logical axes of each parameter.
  """
  schedule = make_schedule(settings, steps)
  parts = [rule(settings)]
  if settings.weight_decay:
    decayed = functools.partial(_are_decayed, axes)
    parts.append(optax.add_decayed_weights(settings.weight_decay, decayed))
  parts.append(optax.scale_by_learning_rate(schedule))
  if settings.content_learning_rate:
    ratio = settings.content_learning_rate / settings.learning_rate
    own = [
      scale_by_row_adagrad(),
      optax.scale_by_learning_rate(lambda step: ratio * schedule(step)),
    ]
    chains = {True: optax.chain(*own), False: optax.chain(*parts)}
    parts = [optax.partition(chains, _are_content(axes))]
  if settings.clip_norm:
    parts.insert(0, optax.clip_by_global_norm(settings.clip_norm))
  return Optimizer(optax.chain(*parts), schedule)


def map_moments(
  transform: optax.GradientTransformation,
  function: Callable[..., Any],
  state: Any,
  *rest: Any,
  others: Callable[[Any], Any],
) -> Any:
  """Maps those leaves of an optimizer's state that belong to parameters.

  Args:
    function: (leaf, parts of `rest` for the parameter) → new leaf.
    rest: trees parallel to the parameters.
    others: for counters and the like.
  """
  return optax.tree_utils.tree_map_params(
    transform,
    lambda leaf, *parts: leaf if _masked(leaf) else function(leaf, *parts),
    state,
    *rest,
    transform_non_params=others,
    is_leaf=_masked,
  )


def _masked(leaf: Any) -> bool:
  """Whether it belongs to another rule."""
  return isinstance(leaf, optax.MaskedNode)


def _are_content(axes: Any) -> Any:
  return jax.tree.map(
    lambda names: names[:1] == ("content",),
    axes,
    is_leaf=lambda leaf: isinstance(leaf, tuple),
  )


def make_schedule(settings: OptimizerSettings, steps: int) -> optax.Schedule:
  """A line up to the learning rate, then constant or down to 0.

  The first of W warm-up updates takes 1 / (W + 1) of the rate, so that no
  update is lost on 0.
  """
  peak, warmup = settings.learning_rate, settings.warmup_steps
  rest = max(steps - warmup, 1)
  after = {
    "constant": lambda: optax.constant_schedule(peak),
    "cosine": lambda: optax.cosine_decay_schedule(peak, rest),
    "linear": lambda: optax.linear_schedule(peak, 0.0, rest),
  }[settings.schedule]()
  if not warmup:
    return after
  before = optax.linear_schedule(peak / (warmup + 1), peak, warmup)
  return optax.join_schedules([before, after], [warmup])


def _are_decayed(axes: Any, params: Any) -> Any:
  """True for tables and matrices; biases and norms are not pulled to 0.

  Nor are those of several layers in one stack.
  """
  return jax.tree.map(
    lambda leaf, names: (
      leaf if _masked(leaf) else len([n for n in names if n != "layers"]) > 1
    ),
    params,
    axes,
    is_leaf=_masked,
  )


def adam(settings: OptimizerSettings) -> optax.GradientTransformation:
  """Adam. Source: arXiv:1412.6980, algorithm 1."""
  if settings.weight_decay:
    raise UserError(
      "config.optimizer.weight_decay",
      f"found {settings.weight_decay} with 'adam'",
      "0",
      "set config.optimizer.name='adamw', whose decay is decoupled",
    )
  return adamw(settings)


def adamw(settings: OptimizerSettings) -> optax.GradientTransformation:
  """Adam with decoupled decay. Source: arXiv:1711.05101, algorithm 2."""
  return optax.scale_by_adam(b1=settings.beta1, b2=settings.beta2)


def adagrad(settings: OptimizerSettings) -> optax.GradientTransformation:
  """Adagrad: rare products keep a high rate. Source: JMLR 12 (2011) 2121."""
  del settings
  return optax.scale_by_rss(initial_accumulator_value=0.1, eps=1e-7)


def lion(settings: OptimizerSettings) -> optax.GradientTransformation:
  """The sign of a momentum. Source: arXiv:2302.06675, algorithm 2."""
  return optax.scale_by_lion(b1=settings.beta1, b2=settings.beta2)


def sgd(settings: OptimizerSettings) -> optax.GradientTransformation:
  """Gradient descent with momentum beta1."""
  return optax.trace(decay=settings.beta1)


def adafactor(settings: OptimizerSettings) -> optax.GradientTransformation:
  """Factored second moments: state of O(rows + columns) for large tables.

  Source: arXiv:1804.04235, algorithm 4, with an absolute learning rate.
  """
  del settings
  return optax.chain(
    optax.scale_by_factored_rms(), optax.clip_by_block_rms(1.0)
  )


def scale_by_row_adagrad() -> optax.GradientTransformation:
  """Adagrad with one number for each row of a table instead of one a weight.

  Rows of rare n-grams keep a high rate, and rows that a step does not read stay
  as they are. Source: the 'row-wise' variant of Duchi et al., JMLR 12 (2011)
  2121, that Naumov et al. (arXiv:1906.00091) use for tables of embeddings.
  """

  def init(params: Any) -> Any:
    return jax.tree.map(lambda p: jnp.zeros(p.shape[:1], p.dtype), params)

  def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
    del params
    state = jax.tree.map(
      lambda sum_V, g: sum_V + jnp.mean(g * g, range(1, g.ndim)),
      state,
      updates,
    )
    scaled = jax.tree.map(
      lambda sum_V, g: (
        g * jax.lax.rsqrt(sum_V + _NO_GRADIENT).reshape(-1, *[1] * (g.ndim - 1))
      ),
      state,
      updates,
    )
    return scaled, state

  return optax.GradientTransformation(init, update)
