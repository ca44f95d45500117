"""How gradients become updates: a rule by name, and what all rules share.

A rule only rescales the gradient. Clipping comes before it; decoupled weight
decay, the learning rate and its schedule after it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import optax

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import OptimizerSettings

Rule = Callable[[OptimizerSettings], optax.GradientTransformation]


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
  rule: Rule, settings: OptimizerSettings, steps: int
) -> Optimizer:
  """Puts a rule of this module into its frame.

  Args:
    steps: updates of the whole run; a falling schedule reaches 0 there.
  """
  schedule = make_schedule(settings, steps)
  parts = [rule(settings)]
  if settings.clip_norm:
    parts.insert(0, optax.clip_by_global_norm(settings.clip_norm))
  if settings.weight_decay:
    parts.append(optax.add_decayed_weights(settings.weight_decay, is_decayed))
  parts.append(optax.scale_by_learning_rate(schedule))
  return Optimizer(optax.chain(*parts), schedule)


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


def is_decayed(params: Any) -> Any:
  """True for tables and matrices; biases and norms are not pulled to 0."""
  return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


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
