"""The parameters that a run begins with."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp

from tagrec_jax import build
from tagrec_jax.checkpoint import reader
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.log import say
from tagrec_jax.core.settings import Settings
from tagrec_jax.core.trees import named_leaves
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.run import trained
from tagrec_jax.training.recipe import Recipe
from tagrec_jax.training.run_folder import RunFolder


def started(
  recipe: Recipe, settings: Settings, dataset: Dataset, folder: RunFolder
) -> Recipe:
  """The recipe with the parameters of `train.init_from`, where there are some.

  Parameters of the same name and shape are taken over, all others begin as they
  would without; optimizer and steps begin anew. A run that has a checkpoint of
  its own goes on from that, and no longer needs the other one.

  Raises:
    UserError: if the other run is not there, has rows for other products, or
      shares no parameter.
  """
  source = settings.train.init_from
  if not source or reader.list_steps(folder.checkpoints):
    return recipe
  other = RunFolder(pathlib.Path(source))
  before = trained.read_settings(other)
  read = build.with_codes(before, dataset)
  params, meta = trained.restore_params(other, build.model(before, read))
  trained.check(meta, read)
  known = named_leaves(params)
  shapes = named_leaves(jax.eval_shape(recipe.init, jax.random.key(0)))
  taken = {
    name
    for name, leaf in shapes.items()
    if name in known and known[name].shape == leaf.shape
  }
  if not taken:
    raise UserError(
      "config.train.init_from",
      f"no parameter of '{source}' has a name and shape of this model",
      "a run of a like model",
      "leave it empty, or use the same config.model",
    )
  say(f"{len(taken)} of {len(shapes)} parameters are those of {source}")

  def init(key: jax.Array) -> dict[str, Any]:
    fresh = recipe.init(key)
    leaves = [
      jnp.array(known[name]) if name in taken else leaf
      for name, leaf in named_leaves(fresh).items()
    ]
    return jax.tree.unflatten(jax.tree.structure(fresh), leaves)

  return dataclasses.replace(recipe, init=init)
