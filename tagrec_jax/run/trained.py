"""A trained model out of the folder of its run."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from jax.sharding import Mesh

from tagrec_jax import build
from tagrec_jax.checkpoint import reader
from tagrec_jax.checkpoint.meta import Identity, Meta, check_vocabularies
from tagrec_jax.core import host
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.recorded import complete
from tagrec_jax.core.rng import named_key
from tagrec_jax.core.settings import Settings, to_dict
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.fingerprint import parts
from tagrec_jax.data.spec import CODES
from tagrec_jax.models import codes
from tagrec_jax.run import additions
from tagrec_jax.run.measure import Asker, Scores
from tagrec_jax.sharding import rules
from tagrec_jax.sharding.answering import answering
from tagrec_jax.tasks.task import Task
from tagrec_jax.training.run_folder import RunFolder


@dataclasses.dataclass(frozen=True)
class Trained:
  """What a run left behind.

  Attributes:
    settings, dataset: of the run.
    scores: the model with its parameters, as it is asked, see `Asker`.
    step: that the parameters are of.
    model, params: the two apart.
  """

  settings: Settings
  dataset: Dataset
  scores: Scores
  step: int
  model: Task
  params: dict[str, Any]


def load(
  workdir: str,
  which: str = "best",
  devices: Sequence[jax.Device] | None = None,
) -> Trained:
  """Reads config, data and parameters of a run.

  Args:
    which: 'best' by the watched metric, 'latest', or a step.
    devices: that answer; None for all.

  Raises:
    UserError: if the folder holds no run, or its data has changed.
  """
  folder = RunFolder(pathlib.Path(workdir))
  settings = read_settings(folder)
  host.prepare(settings.data.cache_dir)
  added = additions.read(folder.path)
  dataset = build.dataset(settings, added.items, added.tags)
  model = build.model(settings, dataset)
  mesh, preset = answering(settings.sharding, devices)
  params, meta = restore_params(folder, model, which, mesh, preset)
  check(meta, dataset)
  scores = Asker(model, mesh).of(params)
  return Trained(settings, dataset, scores, meta["step"], model, params)


def restore_params(
  folder: RunFolder,
  model: Task,
  which: str = "best",
  mesh: Mesh | None = None,
  preset: str = "data",
) -> tuple[dict[str, Any], Meta]:
  """The parameters of a checkpoint, and what it says of itself.

  Args:
    mesh, preset: how devices hold them; None for the first device.
  """
  # Only shapes are wanted: any key will do.
  template = jax.eval_shape(model.init, jax.random.key(0))
  if mesh is not None:
    template = jax.tree.map(
      lambda leaf, where: jax.ShapeDtypeStruct(
        leaf.shape, leaf.dtype, sharding=where
      ),
      template,
      rules.param_shardings(template, model.axes, preset, mesh),
    )
  step = int(which) if which.isdecimal() else which
  return reader.restore_params(folder.checkpoints, template, step)


def read_settings(folder: RunFolder) -> Settings:
  """The config that a run was started with.

  Raises:
    UserError: if the folder holds none.
  """
  return build.settings(complete(_read_config(folder.config)))


def check(meta: Meta, dataset: Dataset) -> None:
  """Raises UserError if a checkpoint has rows for other products or tags."""
  where = f"checkpoint of step {meta['step']}"
  check_vocabularies(meta, vocabularies(dataset), where)


def identity(
  settings: Settings, dataset: Dataset, made: Mapping[str, str]
) -> Identity:
  """Of those checkpoints that belong to this config and data set.

  Args:
    made: versions of libraries and code.
  """
  key = jax.random.key_data(named_key(settings.seed, "params"))
  return Identity(
    config=to_dict(settings),
    vocabularies=vocabularies(dataset),
    data=dataset.fingerprint,
    key=[int(part) for part in key],
    versions=made,
    parts=parts(dataset),
  )


def vocabularies(dataset: Dataset) -> Mapping[str, tuple[int, str]]:
  """name → (ids, fingerprint) of those that parameters have rows for."""
  found = {
    "items": (len(dataset.items), dataset.items.fingerprint),
    "tags": (len(dataset.tags), dataset.tags.fingerprint),
  }
  if CODES in dataset.product:
    codes_CL = dataset.product[CODES]
    found["codes"] = (len(codes_CL), codes.fingerprint(codes_CL))
  return found


def _read_config(path: pathlib.Path) -> Mapping[str, Any]:
  try:
    return json.loads(path.read_text(encoding="utf-8"))
  except (OSError, ValueError) as error:
    raise UserError(
      str(path),
      f"cannot be read ({error})",
      "the config that experiments.train writes",
      "name the folder of a run in --workdir",
    ) from error
