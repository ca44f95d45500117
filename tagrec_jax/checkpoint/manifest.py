"""Proof that a checkpoint is whole: the size and sha256 of every file.

Orbax restores flipped bits without a word. The manifest is written last, so a
folder without one was never finished.
"""

from __future__ import annotations

import json
import pathlib

from tagrec_jax.core.files import sha256, write_json

NAME = "manifest.json"


def write(folder: pathlib.Path) -> None:
  """Seals a folder as it is now."""
  write_json(folder / NAME, _entries(folder))


def find_fault(folder: pathlib.Path) -> str:
  """What is wrong with a sealed folder, '' if nothing is.

  Files that were added later are no fault.
  """
  if not (folder / NAME).is_file():
    return f"{NAME} is missing"
  try:
    entries = json.loads((folder / NAME).read_text(encoding="utf-8"))
    wanted = {name: (size, sha) for name, (size, sha) in entries.items()}
  except (OSError, ValueError, TypeError, AttributeError) as error:
    return f"{NAME} cannot be read ({type(error).__name__})"
  if not wanted:
    return f"{NAME} names no file"
  # Sizes first: they cost nothing and find most damage.
  for name, (size, _) in wanted.items():
    path = folder / name
    if not path.is_file():
      return f"{name} is missing"
    if path.stat().st_size != size:
      return f"{name} has {path.stat().st_size} bytes instead of {size}"
  for name, (_, sha) in wanted.items():
    if sha256(folder / name) != sha:
      return f"{name} differs from its manifest"
  return ""


def _entries(folder: pathlib.Path) -> dict[str, tuple[int, str]]:
  return {
    path.relative_to(folder).as_posix(): (path.stat().st_size, sha256(path))
    for path in sorted(folder.rglob("*"))
    if path.is_file() and path.name != NAME
  }
