"""A small but real model: a table, two layers, dropout, two tasks."""

from __future__ import annotations

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tagrec_jax.core.settings import OptimizerSettings, ShardingSettings
from tagrec_jax.core.sums import Sum
from tagrec_jax.layers import param
from tagrec_jax.layers.linear import Linear
from tagrec_jax.layers.noise import Noise, dropout
from tagrec_jax.sharding.mesh import make_mesh
from tagrec_jax.training import optimizer as optimizers
from tagrec_jax.training.parallel import JitBackend, PmapBackend
from tagrec_jax.training.recipe import Recipe

CATALOGUE, TAGS, WIDTH, HIDDEN, ROWS, LENGTH = 24, 6, 8, 16, 16, 8

OPTIMIZER = OptimizerSettings(
  name="adamw",
  tables="dense",
  learning_rate=1e-2,
  content_learning_rate=0.0,
  schedule="cosine",
  warmup_steps=2,
  weight_decay=0.01,
  beta1=0.9,
  beta2=0.98,
  clip_norm=1.0,
  max_loss_rise=0.0,
  ema_decay=0.9,
)


class Tiny(nnx.Module):
  def __init__(self, rngs):
    make = {"rngs": rngs, "dtype": jnp.float32}
    self.items = param.table(CATALOGUE, WIDTH, ("products", "embed"), rngs)
    self.up = Linear(WIDTH, HIDDEN, ("embed", "hidden"), **make)
    self.down = Linear(HIDDEN, WIDTH, ("hidden", "embed"), **make)
    self.layers = nnx.List([param.layer_norm(WIDTH, rngs, dtype=jnp.float32)])
    self.tags = Linear(WIDTH, TAGS, ("embed", None), **make)

  def __call__(self, ids_BS, noise):
    x_BSD = self.items[...][jnp.maximum(ids_BS, 0)]
    x_BSD = x_BSD + self.down(jax.nn.gelu(self.up(x_BSD)))
    x_BSD = dropout(self.layers[0](x_BSD), 0.2, noise)
    return x_BSD @ self.items[...].T, self.tags(x_BSD)


def cross_entropy(logits_BSC, targets_BS):
  """A Sum; targets below 0 are not counted."""
  counted = (targets_BS >= 0).astype(jnp.float32)
  chosen = jnp.take_along_axis(
    jax.nn.log_softmax(logits_BSC), jnp.maximum(targets_BS, 0)[..., None], -1
  )[..., 0]
  return Sum(-(chosen * counted).sum(), counted.sum())


def make_recipe(settings=OPTIMIZER, steps=50, seed=0, **changes):
  def make(key):
    return Tiny(nnx.Rngs(params=key))

  graph, abstract = nnx.split(
    nnx.eval_shape(lambda: make(jax.random.key(0))), nnx.Param
  )

  def losses(params, batch, key, shard, rows):
    losses.traces.append(1)
    model = nnx.merge(graph, nnx.State(params))
    items, tags = model(batch["ids"], Noise(key, shard))
    factor = batch["factor"].mean()
    return {
      "items": cross_entropy(items * factor, batch["next"]),
      "tags": cross_entropy(tags, batch["tags"]),
    }

  losses.traces = []  # one for each compilation
  rule = getattr(optimizers, settings.name)
  axes = param.logical_axes(abstract)
  recipe = Recipe(
    init=lambda key: nnx.to_pure_dict(nnx.state(make(key), nnx.Param)),
    axes=axes,
    losses=losses,
    weights={"items": 1.0, "tags": 0.5},
    optimizer=optimizers.make_optimizer(rule, settings, steps, axes),
    ema_decay=settings.ema_decay,
    seed=seed,
  )
  return dataclasses.replace(recipe, **changes)


def make_batch(step, seed=0):
  """Rows are unevenly full: a mean of the devices' means would be wrong."""
  random = np.random.default_rng((seed, step))
  ids = random.integers(0, CATALOGUE, (ROWS, LENGTH), dtype=np.int32)
  following = random.integers(0, CATALOGUE, (ROWS, LENGTH), dtype=np.int32)
  tags = random.integers(0, TAGS, (ROWS, LENGTH), dtype=np.int32)
  kept = np.arange(LENGTH) < (np.arange(ROWS) % (LENGTH + 1))[:, None]
  kept[:3] = False
  return {
    "ids": ids,
    "next": np.where(kept, following, -1).astype(np.int32),
    "tags": np.where(kept & (tags > 1), tags, -1).astype(np.int32),
    "factor": np.ones(ROWS, np.float32),
  }


def make_backend(kind, recipe):
  """kind: 'pmap', or preset:data,fsdp,tensor[,sequence]."""
  if kind.startswith("pmap"):
    return PmapBackend(recipe, jax.devices()[: int(kind[4:] or 8)])
  preset, sizes = kind.split(":")
  names = "data", "fsdp", "tensor", "sequence"
  counts = map(int, (sizes + ",1").split(",")[:4])
  by_axis = dict(zip(names, counts, strict=True))
  settings = ShardingSettings(backend="jit", preset=preset, **by_axis)
  mesh = make_mesh(settings, jax.devices()[: math.prod(by_axis.values())])
  return JitBackend(recipe, mesh, preset)


@pytest.fixture(scope="session")
def tiny():
  """The functions above, for tests that cannot import this file."""

  class Tools:
    optimizer = OPTIMIZER
    recipe = staticmethod(make_recipe)
    batch = staticmethod(make_batch)
    make_backend = staticmethod(make_backend)

    @staticmethod
    @functools.cache
    def backend(kind):
      """A backend of the default recipe, compiled once for all tests."""
      return make_backend(kind, make_recipe())

  return Tools
