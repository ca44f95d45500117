"""Prepared data on disk: written once, never changed, checked when read.

A folder holds `dataset.json` (the small things), what is large of encodings in
files of its own, the ArrayRecord shards of people, catalogue and tags (TFDS,
see builder.py), the first of the rows that were refused, and `SHA256SUMS` over
all of them, which `sha256sum -c` reads too.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import socket
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np

from tagrec_jax.core.errors import StorageError
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
_SUMS = "SHA256SUMS"
_ARRAYS = ("ngrams", "weights")  # of encodings, each in a file of its own
_TOKENIZER = ".tokenizer.json"
_AGAIN = "delete the folder, it will be prepared again"


def write(
  dataset: Dataset,
  folder: str | os.PathLike[str],
  rejections: Sequence[Rejection] = (),
) -> None:
  """Writes a data set to a folder that does not exist yet.

  The folder appears at once and complete. Where another process was quicker
  with the same data set, its folder is kept.

  Args:
    rejections: rows that were refused, for those who mend the files.

  Raises:
    StorageError: if it cannot be written, or the folder holds something else.
  """
  folder = pathlib.Path(folder)
  mark = f"{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
  building = folder.with_name(f"{folder.name}.{mark}.incomplete")
  try:
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder)
    building.mkdir()
    write_tables(dataset, building)
    _write_large(dataset, building)
    _write_rejections(rejections, building / REJECTIONS)
    (building / _MANIFEST).write_text(
      json.dumps(_manifest(dataset), indent=1), encoding="ascii"
    )
    _write_sums(building)
    _publish(building, folder, dataset)
  except (OSError, RuntimeError) as error:
    raise StorageError(
      str(folder),
      f"cannot be written ({_reason(error)})",
      "a folder on a disk with room",
      "look at the disk or choose another config.data.cache_dir",
    ) from error
  finally:
    shutil.rmtree(building, ignore_errors=True)


def read(folder: str | os.PathLike[str]) -> Dataset:
  """Reads a data set back; every byte and the fingerprint are checked.

  Raises:
    StorageError: naming the file that is missing or not as it was written.
  """
  folder = pathlib.Path(folder)
  _check_sums(folder)
  try:
    manifest = json.loads((folder / _MANIFEST).read_text(encoding="ascii"))
    if manifest["version"] != VERSION:
      raise StorageError(
        str(folder),
        f"found layout version {manifest['version']}",
        f"version {VERSION}",
        _AGAIN,
      )
    dataset = _assemble(folder, manifest)
    found = fingerprint(dataset)
  except (OSError, RuntimeError, LookupError, TypeError, ValueError) as error:
    raise StorageError(
      str(folder), f"cannot be understood ({_reason(error)})", "", _AGAIN
    ) from error
  if found != dataset.fingerprint:
    raise StorageError(
      str(folder),
      f"fingerprint {found[:12]}",
      f"{dataset.fingerprint[:12]}",
      _AGAIN,
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


# Files and folders.


def _write_sums(folder: pathlib.Path) -> None:
  files = sorted(path for path in folder.rglob("*") if path.is_file())
  lines = [f"{_sum(path)}  {path.relative_to(folder)}" for path in files]
  (folder / _SUMS).write_text("\n".join(lines) + "\n", encoding="ascii")


def _check_sums(folder: pathlib.Path) -> None:
  """Raises StorageError unless all files are there, as they were written."""
  try:
    for line in (folder / _SUMS).read_text(encoding="ascii").splitlines():
      expected, name = line.split("  ", 1)
      if _sum(folder / name) != expected:
        raise StorageError(
          str(folder / name), "not the bytes that were written", "", _AGAIN
        )
  except (OSError, ValueError) as error:
    where = getattr(error, "filename", None) or folder / _SUMS
    raise StorageError(
      str(where), f"cannot be read ({_reason(error)})", "", _AGAIN
    ) from error


def _sum(path: pathlib.Path) -> str:
  with path.open("rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()


def _publish(
  building: pathlib.Path, folder: pathlib.Path, dataset: Dataset
) -> None:
  """Gives a complete folder its name, unless it is taken by the same data."""
  try:
    building.rename(folder)
  except OSError:
    if not (folder / _MANIFEST).exists():
      raise
    if read(folder).fingerprint != dataset.fingerprint:
      raise StorageError(
        str(folder), "holds another data set", "", _AGAIN
      ) from None


def _remove_abandoned(folder: pathlib.Path) -> None:
  """Removes what killed processes of this machine left of this data set."""
  ours = f"{folder.name}.{socket.gethostname()}."
  for path in folder.parent.iterdir():
    if not path.name.startswith(ours):
      continue
    process = path.name.removeprefix(ours).split(".")[0]
    try:
      os.kill(int(process), 0)
    except ProcessLookupError:
      shutil.rmtree(path, ignore_errors=True)
    except (PermissionError, ValueError, OverflowError):
      continue  # someone else's and alive, or not ours at all


def _reason(error: BaseException) -> str:
  """One line of an error."""
  if isinstance(error, OSError) and error.strerror:
    return error.strerror
  return (str(error) or type(error).__name__).splitlines()[0][:200]
