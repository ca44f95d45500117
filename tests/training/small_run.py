"""A run to be killed: `small_run.py workdir steps`; prints each step taken.

Its digest, at the end, is of everything a step changes.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import sys
import time

os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import numpy as np

from tagrec_jax.checkpoint.manager import Checkpoints
from tagrec_jax.checkpoint.meta import Identity
from tagrec_jax.core.settings import (
  OptimizerSettings,
  ShardingSettings,
  TrainSettings,
)
from tagrec_jax.core.sums import Sum
from tagrec_jax.sharding.mesh import make_mesh
from tagrec_jax.training import optimizer
from tagrec_jax.training.loop import train
from tagrec_jax.training.parallel import JitBackend
from tagrec_jax.training.recipe import Recipe
from tagrec_jax.training.run_folder import open_run
from tagrec_jax.training.stop import stop_on_signals
from tagrec_jax.training.writers import JsonLines, Writers


def losses(params, batch, key, shard):
  del shard
  noise = 1 + 0.1 * jax.random.normal(key, batch["x"].shape)
  error = (batch["x"] * noise) @ params["w"] - batch["y"]
  return {"items": Sum((error**2).sum(), jnp.float32(error.size))}


def batches(step):
  print(step, flush=True)
  time.sleep(0.02)
  random = np.random.default_rng(step)
  x = random.normal(size=(8, 64)).astype(np.float32)
  return {"x": x, "y": x[:, :4] * 2}


def main(workdir, steps):
  settings = OptimizerSettings(
    "adamw", 1e-2, "constant", 0, 0.01, 0.9, 0.99, 1.0, 0.9
  )
  recipe = Recipe(
    init=lambda key: {"w": jax.random.normal(key, (64, 4))},
    axes={"w": ("embed", None)},
    losses=losses,
    weights={"items": 1.0},
    optimizer=optimizer.make_optimizer(optimizer.adamw, settings, steps),
    ema_decay=0.9,
  )
  mesh = make_mesh(ShardingSettings("jit", "data", -1, 1, 1))
  backend = JitBackend(recipe, mesh, "data")
  identity = Identity({}, {}, "data", (0, 0), {})
  with (
    stop_on_signals() as stop,
    open_run(workdir) as folder,
    Checkpoints(folder.checkpoints, 2, identity) as checkpoints,
  ):
    result = train(
      backend,
      batches,
      TrainSettings(steps, 10, 10, 0, "w", 10),
      save_every=5,
      checkpoints=checkpoints,
      evaluate=lambda params: {"w": float(jnp.abs(params["w"]).sum()) % 1},
      writers=Writers([JsonLines(folder.metrics)]),
      stop=stop,
    )
  digest = hashlib.sha256()
  for leaf in jax.tree.leaves(jax.device_get(result.state)):
    digest.update(np.ascontiguousarray(leaf).tobytes())
  print(result.ending, result.best_step, digest.hexdigest(), flush=True)


if __name__ == "__main__":
  main(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
