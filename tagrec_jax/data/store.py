"""Prepared data on disk: written once, never changed, checked when read.

A folder holds `dataset.json` (the small things), what is large of encodings in
files of its own, the ArrayRecord shards of people, catalogue and tags (TFDS,
see builder.py), the first of the rows that were refused, and `SHA256SUMS` over
all of them, which `sha256sum -c` reads too. Reading adds `mapped/`, columns of
many people with sums of their own, see mapped.py.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tagrec_jax.core.errors import StorageError
from tagrec_jax.data import folders
from tagrec_jax.data.beam_engine import Beam
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.encodings import Encoding
from tagrec_jax.data.fingerprint import fingerprint
from tagrec_jax.data.records import Rejection
from tagrec_jax.data.spec import Feature, Kind, Part, Spec
from tagrec_jax.data.tables import read_tables, write_tables
from tagrec_jax.data.vocab import Vocabulary

VERSION = 4
"""Of the layout on disk."""

REJECTIONS = "rejections.jsonl"
"""Where there are any: file, line, field, reason and what was found."""

_MANIFEST = "dataset.json"
_ARRAYS = ("ngrams", "weights")  # of encodings, each in a file of its own
_TOKENIZER = ".tokenizer.json"


def write(
  dataset: Dataset,
  folder: str | os.PathLike[str],
  rejections: Sequence[Rejection] = (),
  beam: Beam | None = None,
) -> None:
  """Writes a data set to a folder that does not exist yet.

  The folder appears at once and complete. Where another process was quicker
  with the same data set, its folder is kept.

  Args:
    rejections: rows that were refused, for those who mend the files.
    beam: whose workers write the tables; None: they are written here.

  Raises:
    StorageError: if it cannot be written, or the folder holds something else.
  """
  folder = pathlib.Path(folder)
  try:
    with folders.building(folder) as new:
      write_tables(dataset, new, beam)
      _write_large(dataset, new)
      _write_rejections(rejections, new / REJECTIONS)
      (new / _MANIFEST).write_text(
        json.dumps(_manifest(dataset), indent=1), encoding="ascii"
      )
      folders.write_sums(new)
      _publish(new, folder, dataset)
  except (OSError, RuntimeError) as error:
    raise StorageError(
      str(folder),
      f"cannot be written ({folders.reason(error)})",
      "a folder on a disk with room",
      "look at the disk or choose another config.data.cache_dir",
    ) from error


def read(folder: str | os.PathLike[str]) -> Dataset:
  """Reads a data set back; every byte and the fingerprint are checked.

  Raises:
    StorageError: naming the file that is missing or not as it was written.
  """
  folder = pathlib.Path(folder)
  folders.check_sums(folder)
  try:
    manifest = json.loads((folder / _MANIFEST).read_text(encoding="ascii"))
    if manifest["version"] != VERSION:
      raise StorageError(
        str(folder),
        f"found layout version {manifest['version']}",
        f"version {VERSION}",
        folders.AGAIN,
      )
    dataset = _assemble(folder, manifest)
    found = fingerprint(dataset)
  except (OSError, RuntimeError, LookupError, TypeError, ValueError) as error:
    raise StorageError(
      str(folder),
      f"cannot be understood ({folders.reason(error)})",
      "",
      folders.AGAIN,
    ) from error
  if found != dataset.fingerprint:
    raise StorageError(
      str(folder),
      f"fingerprint {found[:12]}",
      f"{dataset.fingerprint[:12]}",
      folders.AGAIN,
    )
  return dataset


def _manifest(dataset: Dataset) -> dict[str, Any]:
  return {
    "version": VERSION,
    "name": dataset.name,
    "fingerprint": dataset.fingerprint,
    "spec": dataclasses.asdict(dataset.spec),
    "counts": dataset.counts,
    "encodings": [
      {
        "feature": dataclasses.asdict(encoding.feature),
        "names": encoding.names.ids,
        "centers": encoding.centers,
        "scales": encoding.scales,
      }
      for encoding in dataset.encodings
    ],
  }


def _feature(values: dict[str, Any]) -> Feature:
  part, kind = Part(values["part"]), Kind(values["kind"])
  return Feature(**values | {"part": part, "kind": kind})


def _write_large(dataset: Dataset, folder: pathlib.Path) -> None:
  """What of encodings is too much for a manifest that people may look at."""
  for number, encoding in enumerate(dataset.encodings):
    begin = folder / f"encoding_{number}"
    for name in _ARRAYS:
      if (array := getattr(encoding, name)) is not None:
        np.save(begin.with_suffix(f".{name}.npy"), array, allow_pickle=False)
    if encoding.tokenizer:
      path = begin.with_suffix(_TOKENIZER)
      path.write_text(encoding.tokenizer, encoding="utf-8", newline="")


def _write_rejections(
  rejections: Sequence[Rejection], path: pathlib.Path
) -> None:
  if rejections:
    lines = [json.dumps(dataclasses.asdict(one)) + "\n" for one in rejections]
    path.write_text("".join(lines), encoding="ascii")


def _read_large(begin: pathlib.Path) -> dict[str, Any]:
  """Those fields of an encoding that `_write_large` wrote."""
  fields: dict[str, Any] = {}
  for name in _ARRAYS:
    if (path := begin.with_suffix(f".{name}.npy")).exists():
      fields[name] = np.load(path, allow_pickle=False)
  if (path := begin.with_suffix(_TOKENIZER)).exists():
    fields["tokenizer"] = path.read_bytes().decode()
  return fields


def _encodings(
  folder: pathlib.Path, manifest: dict[str, Any]
) -> tuple[Encoding, ...]:
  return tuple(
    Encoding(
      _feature(values["feature"]),
      Vocabulary(values["names"]),
      tuple(values["centers"]),
      tuple(values["scales"]),
      **_read_large(folder / f"encoding_{number}"),
    )
    for number, values in enumerate(manifest["encodings"])
  )


def _assemble(folder: pathlib.Path, manifest: dict[str, Any]) -> Dataset:
  features = tuple(_feature(values) for values in manifest["spec"]["features"])
  spec = Spec(**manifest["spec"] | {"features": features})
  return Dataset(
    name=manifest["name"],
    fingerprint=manifest["fingerprint"],
    spec=spec,
    counts=manifest["counts"],
    encodings=_encodings(folder, manifest),
    **read_tables(folder, spec),
  )


def _publish(new: pathlib.Path, folder: pathlib.Path, dataset: Dataset) -> None:
  """Gives a complete folder its name, unless it is taken by the same data."""
  try:
    new.rename(folder)
  except OSError:
    if not (folder / _MANIFEST).exists():
      raise
    if read(folder).fingerprint != dataset.fingerprint:
      raise StorageError(
        str(folder), "holds another data set", "", folders.AGAIN
      ) from None
