"""One name for everything a prepared data set holds."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import numpy as np

from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.mapped import forget
from tagrec_jax.data.vocab import Vocabulary

_PART = 2**21  # values that are looked at together

_LATER = ("posted", "moment")
"""Fields of dataclasses that came after data sets had been named."""

_PARTS = {
  "products": ("items", "new_items", "titles"),
  "tags": ("tags", "new_tags", "tag"),
  "people": ("people", "person"),
  "events": ("events",),
  "splits": ("train_ends", "valid", "test", "valid_items", "test_items"),
  "features": ("product", "spec", "encodings"),
}
"""For people to read: the fields of a data set, by what they are about."""


def fingerprint(dataset: Dataset) -> str:
  """sha256 (hex) of all that is in a data set but its own fingerprint.

  The same on every machine and in every process: of arrays it sees the values,
  the type and the shape, of the rest JSON with sorted keys.
  """
  digest = hashlib.sha256()
  fields = dataclasses.fields(dataset)
  values = {f.name: getattr(dataset, f.name) for f in fields}
  del values["fingerprint"]
  _add(digest, values)
  return digest.hexdigest()


def parts(dataset: Dataset) -> dict[str, str]:
  """What a data set consists of: part → its size and a short fingerprint."""
  size = {
    "products": len(dataset.items),
    "tags": len(dataset.tags),
    "people": len(dataset.people),
    "events": len(dataset.events.items),
  }
  found = {}
  for part, names in _PARTS.items():
    digest = hashlib.sha256()
    _add(digest, {name: getattr(dataset, name) for name in names})
    short = digest.hexdigest()[:8]
    found[part] = f"{size[part]:,} ({short})" if part in size else short
  return found


def _add(digest: Any, value: Any) -> None:
  """Adds a value with its structure, so that no two structures look alike."""
  if isinstance(value, np.ndarray):
    plain = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
    digest.update(f"array {plain.dtype.str} {plain.shape} ".encode())
    flat = plain.reshape(-1)
    for begin in range(0, len(flat), _PART):
      digest.update(flat[begin : begin + _PART].data)
      forget(flat)
  elif isinstance(value, Vocabulary):
    digest.update(f"vocabulary {value.fingerprint} ".encode())
  elif dataclasses.is_dataclass(value):
    fields = dataclasses.fields(value)
    named = {f.name: getattr(value, f.name) for f in fields}
    for name in _LATER:
      # Data without them keeps the name it had before there were such fields.
      if name in named and named[name] in (None, {}):
        del named[name]
    _add(digest, named)
  elif isinstance(value, dict):
    digest.update(f"dict {len(value)} ".encode())
    for key in sorted(value):
      digest.update(f"{json.dumps(key)} ".encode())
      _add(digest, value[key])
  elif isinstance(value, tuple) and not _is_plain(value):
    digest.update(f"tuple {len(value)} ".encode())
    for member in value:
      _add(digest, member)
  else:
    digest.update(f"{json.dumps(value)} ".encode())


def _is_plain(value: tuple) -> bool:
  return all(isinstance(v, str | float | int) for v in value)
