"""Folders of pretrained text encoders, as Hugging Face writes them.

Nothing in them runs: JSON and safetensors hold values only.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

import numpy as np

from tagrec_jax.core.errors import UserError

CONFIG, WEIGHTS = "config.json", "model.safetensors"
MODULES = "modules.json"  # of sentence-transformers; may be absent

INSTALL = "pip install 'tagrec_jax[pretrained]'"


@dataclasses.dataclass(frozen=True)
class Pooling:
  """How the vectors of a text's tokens become one: 'mean' or 'cls'."""

  mode: str = "mean"
  normalised: bool = False


@dataclasses.dataclass(frozen=True)
class Pretrained:
  """What a folder holds.

  Attributes:
    folder: for messages.
    config: config.json.
    tensors: name → float32 array.
    pooling: as modules.json says; the mean where there is none.
  """

  folder: pathlib.Path
  config: dict[str, Any]
  tensors: dict[str, np.ndarray]
  pooling: Pooling


def read(folder: str | pathlib.Path) -> Pretrained:
  """Reads all but the tokenizer, see data/tokenizer.py.

  Raises:
    UserError: a file is missing or not what its name says, a package is not
      installed, or the vectors are pooled in an unknown way.
  """
  folder = pathlib.Path(folder)
  config = _json(folder / CONFIG)
  if not isinstance(config, dict):
    raise UserError(str(folder / CONFIG), "no object", "a JSON object")
  return Pretrained(folder, config, _tensors(folder), _pooling(folder))


def _check_exists(path: pathlib.Path) -> None:
  if not path.is_file():
    raise UserError(
      str(path),
      "no such file",
      f"a folder with {CONFIG} and {WEIGHTS}",
      "save the model with save_pretrained of transformers",
    )


def _broken(path: pathlib.Path, error: Exception) -> UserError:
  reason = " ".join(str(error).split())
  return UserError(
    str(path), f"not readable ({reason})", fix="fetch the file again"
  )


def _json(path: pathlib.Path) -> Any:
  _check_exists(path)
  try:
    return json.loads(path.read_text(encoding="utf-8"))
  except (ValueError, RecursionError) as error:
    raise _broken(path, error) from None


def _tensors(folder: pathlib.Path) -> dict[str, np.ndarray]:
  try:
    import safetensors
    import safetensors.numpy
  except ImportError:
    raise UserError("safetensors", "not installed", fix=INSTALL) from None
  path = folder / WEIGHTS
  _check_exists(path)
  try:
    tensors = safetensors.numpy.load_file(path)
  except safetensors.SafetensorError as error:
    raise _broken(path, error) from None
  return {
    name: np.asarray(value, np.float32) for name, value in tensors.items()
  }


def _pooling(folder: pathlib.Path) -> Pooling:
  path = folder / MODULES
  if not path.is_file():
    return Pooling()
  pooling = Pooling()
  for module in _json(path):
    kind = str(module["type"]).rsplit(".", 1)[-1]
    if kind == "Pooling":
      pooling = dataclasses.replace(
        pooling, mode=_pooling_mode(folder / str(module["path"]) / CONFIG)
      )
    elif kind == "Normalize":
      pooling = dataclasses.replace(pooling, normalised=True)
    elif kind != "Transformer":
      raise UserError(
        str(path), f"a module {kind}", "Transformer, Pooling or Normalize"
      )
  return pooling


def _pooling_mode(path: pathlib.Path) -> str:
  start = "pooling_mode_"
  modes = [
    key.removeprefix(start).removesuffix("_tokens").removesuffix("_token")
    for key, used in _json(path).items()
    if key.startswith(start) and used is True
  ]
  if modes not in (["mean"], ["cls"]):
    raise UserError(
      str(path), f"vectors pooled by {' and '.join(modes)}", "mean or cls"
    )
  return modes[0]
