"""A run to be killed: prints each step taken and, at the end, a digest of
everything a step changes.

small_run.py workdir steps [process port]: the latter for one of two processes.
$HANGS_AT is a step whose batch never comes.
"""

from __future__ import annotations

import functools
import hashlib
import os
import pathlib
import sys
import time

os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from tagrec_jax.checkpoint.manager import Checkpoints
from tagrec_jax.checkpoint.meta import Identity
from tagrec_jax.core.errors import one_line
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


def losses(params, batch, key, shard, rows):
  del shard
  noise = 1 + 0.1 * jax.random.normal(key, batch["x"].shape)
  error = (batch["x"] * noise) @ params["w"] - batch["y"]
  return {"items": Sum((error**2).sum(), jnp.float32(error.size))}


def batches(step, share):
  print(step, flush=True)
  time.sleep(1000 if str(step) == os.environ.get("HANGS_AT") else 0.02)
  random = np.random.default_rng(step)
  x = random.normal(size=(8, 64)).astype(np.float32)
  x = np.split(x, share[1])[share[0]]
  return {"x": x, "y": x[:, :4] * 2}


def digest(state):
  whole = jax.tree.map(lambda x: NamedSharding(x.sharding.mesh, P()), state)
  found = hashlib.sha256()
  for leaf in jax.tree.leaves(jax.jit(lambda s: s, out_shardings=whole)(state)):
    found.update(np.ascontiguousarray(leaf).tobytes())
  return found.hexdigest()


def main(workdir, steps, process=None, port=None):
  if process is not None:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(
      f"localhost:{port}", 2, int(process), heartbeat_timeout_seconds=10
    )
  settings = OptimizerSettings(
    name="adamw",
    tables="dense",
    learning_rate=1e-2,
    content_learning_rate=0.0,
    schedule="constant",
    warmup_steps=0,
    weight_decay=0.01,
    beta1=0.9,
    beta2=0.99,
    clip_norm=1.0,
    max_loss_rise=0.0,
    ema_decay=0.9,
  )
  axes = {"w": ("embed", None)}
  recipe = Recipe(
    init=lambda key: {"w": jax.random.normal(key, (64, 4))},
    axes=axes,
    losses=losses,
    weights={"items": 1.0},
    optimizer=optimizer.make_optimizer(optimizer.adamw, settings, steps, axes),
    ema_decay=0.9,
  )
  fsdp = jax.local_device_count()
  mesh = make_mesh(
    ShardingSettings(
      backend="jit", sequence=1, preset="fsdp", data=-1, fsdp=fsdp, tensor=1
    )
  )
  backend = JitBackend(recipe, mesh, "fsdp")
  identity = Identity({}, {}, "data", (0, 0), {})
  with (
    stop_on_signals() as stop,
    open_run(workdir) as folder,
    Checkpoints(folder.checkpoints, 2, identity) as checkpoints,
  ):
    result = train(
      backend,
      functools.partial(batches, share=backend.host_share),
      TrainSettings(
        steps=steps,
        log_every=10,
        evaluate_every=10,
        patience=0,
        watch="w",
        max_skipped_steps=10,
        max_roll_backs=0,
        steps_per_call=1,
        accumulate_steps=1,
        init_from="",
      ),
      save_every=5,
      checkpoints=checkpoints,
      evaluate=lambda params: {"w": float(jnp.abs(params["w"]).sum()) % 1},
      writers=Writers([JsonLines(folder.metrics)]),
      stop=stop,
    )
  print(result.ending, result.best_step, digest(result.state), flush=True)


if __name__ == "__main__":
  one_line(main)(pathlib.Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
