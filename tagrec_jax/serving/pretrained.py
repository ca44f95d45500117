"""Vectors of a pretrained text encoder as features of a data set."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
import uuid

import numpy as np

from tagrec_jax.checkpoint.huggingface import WEIGHTS
from tagrec_jax.core import paths
from tagrec_jax.core.errors import StorageError
from tagrec_jax.core.files import sha256
from tagrec_jax.core.settings import DataSettings
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.spec import Feature, Kind, Part
from tagrec_jax.serving.texts import TextEncoder

TOKENS, VECTORS = "tokens", "pretrained"
"""The feature that is read, and the one that is made of it."""

KEPT = 1000
"""Texts whose vectors are kept in the cache; fewer are encoded in seconds."""


def with_vectors(dataset: Dataset, settings: DataSettings) -> Dataset:
  """Adds the feature 'pretrained', made of the feature 'tokens'.

  Of products, and of tags where they have tokens. Encoding takes minutes and
  is done once: the vectors are kept in the cache.

  Raises:
    UserError: if the folder `settings.pretrained_text` cannot be read.
    StorageError: if the cache cannot be written.
  """
  weights = pathlib.Path(settings.pretrained_text) / WEIGHTS
  made = _Made(settings, _sha(weights))
  width = {}
  parts = {Part.PRODUCT: dataset.product, Part.TAG: dataset.tag}
  for part, arrays in parts.items():
    if TOKENS in arrays:
      vectors_ND = made.of(arrays[TOKENS])
      parts[part] = arrays | {VECTORS: vectors_ND}
      width[part] = vectors_ND.shape[1]
  kept = [
    f for f in dataset.spec.features if (f.name, f.part) not in _names(width)
  ]
  added = [
    Feature(VECTORS, part, Kind.VECTOR, width=size)
    for part, size in width.items()
  ]
  # Not of the vectors: their last bits differ between processors.
  text = f"{dataset.fingerprint} {made.weights}"
  return dataclasses.replace(
    dataset,
    fingerprint=hashlib.sha256(text.encode()).hexdigest(),
    spec=dataclasses.replace(dataset.spec, features=(*kept, *added)),
    product=parts[Part.PRODUCT],
    tag=parts[Part.TAG],
  )


def _names(width: dict[Part, int]) -> set[tuple[str, Part]]:
  return {(VECTORS, part) for part in width}


class _Made:
  """Vectors out of the cache, or else of the encoder, which is read once.

  Attributes:
    weights: sha256 of the encoder's weights.
  """

  def __init__(self, settings: DataSettings, weights: str):
    self.weights = weights
    self._settings = settings
    self._encoder: TextEncoder | None = None
    self._folder = paths.cache_folder(settings.cache_dir) / "vectors"

  def of(self, ids_NS: np.ndarray) -> np.ndarray:
    digest = hashlib.sha256(f"{self.weights} {ids_NS.shape}".encode())
    digest.update(ids_NS.tobytes())
    path = self._folder / f"{digest.hexdigest()[:32]}.npy"
    if path.exists():
      try:
        return np.load(path, allow_pickle=False)
      except (OSError, ValueError) as error:
        raise StorageError(
          str(path), f"cannot be read ({error})", "", "delete the file"
        ) from error
    if self._encoder is None:
      self._encoder = TextEncoder(
        self._settings.pretrained_text, self._settings.pretrained_tokens
      )
    vectors_ND = self._encoder(ids_NS)
    if len(vectors_ND) >= KEPT:
      self._keep(path, vectors_ND)
    return vectors_ND

  def _keep(self, path: pathlib.Path, vectors_ND: np.ndarray) -> None:
    """Writes a file that appears whole."""
    begun = path.with_name(f"{uuid.uuid4().hex}.incomplete.npy")
    try:
      self._folder.mkdir(parents=True, exist_ok=True)
      np.save(begun, vectors_ND, allow_pickle=False)
      begun.rename(path)
    except OSError as error:
      begun.unlink(missing_ok=True)
      raise StorageError(
        str(path),
        f"cannot be written ({error.strerror})",
        "a folder on a disk with room",
        "look at the disk or choose another config.data.cache_dir",
      ) from error


def _sha(path: pathlib.Path) -> str:
  try:
    return sha256(path)
  except OSError:
    return ""  # whoever reads the folder says what is missing
