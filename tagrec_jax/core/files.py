"""Small files that are either whole or not there, and sums over any."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
from typing import Any


def write_json(path: pathlib.Path, value: Any) -> None:
  """Replaces `path` in one move, so that no reader sees half of it."""
  text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False)
  write_text(path, text + "\n")


def write_text(path: pathlib.Path, text: str) -> None:
  """Like `write_json`, for what is text already."""
  part = path.with_name(path.name + ".part")
  with part.open("w", encoding="utf-8") as file:
    file.write(text)
    file.flush()
    os.fsync(file.fileno())
  part.replace(path)


def sha256(path: str | os.PathLike[str]) -> str:
  """Of the bytes of a file of any size, in hexadecimal digits."""
  with open(path, "rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()
