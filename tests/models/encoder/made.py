"""What tests of encoders share: settings, and a small problem to learn."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from configs import base
from tagrec_jax.core import settings as settings_lib
from tagrec_jax.core.settings import ModelSettings
from tagrec_jax.layers import param
from tagrec_jax.layers.noise import Noise
from tagrec_jax.layers.tokens import Tokens


def model_settings(**changes: Any) -> ModelSettings:
  small = {"width": 16, "heads": 2, "hidden": 32, "layers": 1, "dropout": 0.1}
  settings = settings_lib.from_dict(base.get_config().to_dict())
  return dataclasses.replace(settings.model, **{**small, **changes})


def rngs(seed: int = 0) -> nnx.Rngs:
  return nnx.Rngs(params=jax.random.key(seed))


def axes_fit(module: nnx.Module) -> bool:
  """Each parameter names as many axes as it has."""
  _, params = nnx.split(module, nnx.Param)
  axes = param.logical_axes(params)
  shapes = jax.tree.map(jnp.shape, nnx.to_pure_dict(params))
  is_shape = lambda leaf: isinstance(leaf, tuple)
  same = jax.tree.map(
    lambda a, b: len(a) == len(b), axes, shapes, is_leaf=is_shape
  )
  leaves = jax.tree.leaves(same)
  return bool(leaves) and all(leaves)


def run(encoder: Any, values: Any, noise: Noise | None = None) -> Tokens:
  return run_with_gradient(encoder, values, noise)[0]


def run_with_gradient(
  encoder: Any, values: Any, noise: Noise | None = None
) -> tuple[Tokens, Any]:
  """The tokens, and the gradient of the sum of their squares."""
  graph, params = nnx.split(encoder)

  def loss(params):
    tokens = nnx.merge(graph, params)(values, noise)
    return (tokens.values_NSD**2).sum(), tokens

  gradient, tokens = jax.jit(jax.grad(loss, has_aux=True))(params)
  return tokens, nnx.to_pure_dict(gradient)


def check_missing(encoder: Any, missing: Any) -> None:
  """Nothing comes of what is missing: no token, no gradient, no NaN."""
  tokens, gradient = run_with_gradient(encoder, missing)
  assert tokens.values_NSD.dtype == jnp.float32
  assert not tokens.there_NS.any()
  np.testing.assert_array_equal(tokens.values_NSD, 0)
  for leaf in jax.tree.leaves(gradient):
    np.testing.assert_array_equal(leaf, 0)


def learns(
  encoder: Any, values: Any, labels: Any, *, steps: int, rate: float = 3e-3
) -> tuple[float, float]:
  """Trains with a linear reading of the mean; accuracy before and after."""
  classes = int(np.max(labels)) + 1
  width = run(encoder, values).values_NSD.shape[-1]
  graph, params = nnx.split(encoder)
  head = 0.1 * jax.random.normal(jax.random.key(9), (width, classes))
  optimizer = optax.adam(rate)

  def logits(trained, noise):
    params, head = trained
    return nnx.merge(graph, params)(values, noise).mean() @ head

  def loss(trained, key):
    each = optax.softmax_cross_entropy_with_integer_labels(
      logits(trained, Noise(key)), labels
    )
    return each.mean()

  @jax.jit
  def step(trained, state, key):
    gradient = jax.grad(loss)(trained, key)
    updates, state = optimizer.update(gradient, state, trained)
    return optax.apply_updates(trained, updates), state

  @jax.jit
  def accuracy(trained):
    return (logits(trained, None).argmax(-1) == labels).mean()

  trained = params, head
  before = float(accuracy(trained))
  state = optimizer.init(trained)
  for key in jax.random.split(jax.random.key(1), steps):
    trained, state = step(trained, state, key)
  return before, float(accuracy(trained))
