"""The pieces of a training step as contestants, and the machine's limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from experiments.benchmarks import subject
from experiments.benchmarks.child import Run
from tagrec_jax import build, registries
from tagrec_jax.core import host
from tagrec_jax.core.rng import named_key
from tagrec_jax.layers.noise import Noise
from tagrec_jax.objectives.softmax import Softmax

SQUARE = 2048  # side of the matrices whose product is the limit of operations
LARGE = 2**26  # float32 numbers whose copy is the limit of bytes


class Shapes:
  """What a step of `subject.settings` works on, with one batch of it."""

  def __init__(self, folder: str, **changes: Any):
    host.keep_large_blocks()
    self.settings = subject.settings(folder, **changes)
    self.dataset = build.dataset(self.settings)
    batches = build.train_batches(self.settings, self.dataset, (0, 1))
    self.batch = jax.tree.map(jnp.asarray, batches(0))
    self.dtype = jnp.dtype(self.settings.model.compute_dtype)
    tokens = *self.batch["target_ids"].shape, self.settings.model.width
    self.key = named_key(0, "benchmark")
    self.tokens_BSD = jax.random.normal(self.key, tokens).astype(self.dtype)


def step(folder: str, **changes: Any) -> Run:
  """All of it: loss, gradient, update; work is steps."""
  shapes = Shapes(folder, **changes)
  model = build.model(shapes.settings, shapes.dataset)
  backend = build.backend(shapes.settings, build.recipe(shapes.settings, model))
  batches = build.train_batches(
    shapes.settings, shapes.dataset, backend.host_share
  )
  placed = backend.place_batches([batches(0)])
  state = backend.init_state()

  def run(times: int) -> dict[str, float]:
    nonlocal state
    for _ in range(times):
      state, report = backend.train_steps(state, placed)
      jax.block_until_ready(report)
    return {"work": times}

  return run


def loss(folder: str, **changes: Any) -> Run:
  """The softmax over the catalogue and its gradient; work is steps."""
  shapes = Shapes(folder, **changes)
  products, width = shapes.dataset.spec.num_items, shapes.settings.model.width
  vectors_CD = 0.02 * jax.random.normal(shapes.key, (products, width))

  def mean(queries_BTD: jax.Array, vectors_CD: jax.Array) -> jax.Array:
    scored = queries_BTD, vectors_CD, jnp.zeros(products)
    return Softmax()(*scored, shapes.batch["target_ids"]).mean()

  gradient = jax.jit(jax.value_and_grad(mean, (0, 1)))
  return _repeated(lambda: gradient(shapes.tokens_BSD, vectors_CD))


def encoder(folder: str, **changes: Any) -> Run:
  """The history encoder with dropout and its gradient; work is steps."""
  shapes = Shapes(folder, **changes)
  settings, batch = shapes.settings, shapes.batch
  made = registries.HISTORY_ENCODERS[settings.model.history](
    settings.model, settings.pipeline.max_history, nnx.Rngs(params=shapes.key)
  )
  graph, params = nnx.split(made, nnx.Param)

  def total(params: Any, tokens_BSD: jax.Array, key: jax.Array) -> jax.Array:
    memory_BSD = nnx.merge(graph, params)(
      tokens_BSD,
      batch["history_segments"],
      batch["history_positions"],
      Noise(key),
    )
    return jnp.sum(memory_BSD.astype(jnp.float32) ** 2)

  gradient = jax.jit(jax.value_and_grad(total, (0, 1)))
  return _repeated(lambda: gradient(params, shapes.tokens_BSD, shapes.key))


def update(folder: str, **changes: Any) -> Run:
  """The optimizer over all parameters; work is steps."""
  shapes = Shapes(folder, **changes)
  model = build.model(shapes.settings, shapes.dataset)
  transform = build.recipe(shapes.settings, model).optimizer.transform
  params = jax.jit(model.init)(named_key(0, "params"))
  state = params, jax.jit(transform.init)(params)
  gradient = jax.tree.map(jnp.ones_like, params)

  def apply(state: Any, gradient: Any) -> Any:
    params, moments = state
    updates, moments = transform.update(gradient, moments, params)
    return optax.apply_updates(params, updates), moments

  compiled = jax.jit(apply, donate_argnums=0)

  def once() -> Any:
    nonlocal state
    state = compiled(state, gradient)
    return state

  numbers = sum(leaf.size for leaf in jax.tree.leaves(params))
  return _repeated(once, parameters=numbers)


def product(dtype: str) -> Run:
  """A large product of matrices; work is operations."""
  square = jnp.ones((SQUARE, SQUARE), dtype)
  multiply = jax.jit(
    lambda x: jnp.matmul(x, x, preferred_element_type=jnp.float32)
  )
  return _repeated(lambda: multiply(square), work=2.0 * SQUARE**3)


def copy() -> Run:
  """A pass over memory; work is bytes, read and written."""
  host.keep_large_blocks()
  numbers = jnp.zeros(LARGE)
  add = jax.jit(lambda x: x + 1, donate_argnums=0)

  def once() -> Any:
    nonlocal numbers
    numbers = add(numbers)
    return numbers

  return _repeated(once, work=2.0 * 4 * LARGE)


def _repeated(once: Callable[[], Any], work: float = 1.0, **facts: Any) -> Run:
  def run(times: int) -> dict[str, float]:
    for _ in range(times):
      jax.block_until_ready(once())
    return {"work": times * work, **facts}

  return run
