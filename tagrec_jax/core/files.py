"""Small files that are either whole or not there."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any


def write_json(path: pathlib.Path, value: Any) -> None:
  """Replaces `path` in one move, so that no reader sees half of it."""
  text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False)
  part = path.with_name(path.name + ".part")
  with part.open("w", encoding="utf-8") as file:
    file.write(text + "\n")
    file.flush()
    os.fsync(file.fileno())
  part.replace(path)
