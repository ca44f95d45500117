"""Where things are kept that can be made or fetched again."""

from __future__ import annotations

import os
import pathlib


def cache_folder(named: str = "") -> pathlib.Path:
  """The folder of data and compiled programs; need not exist yet.

  Args:
    named: `config.data.cache_dir`; '' stands for tagrec_jax in the user's cache
      ($XDG_CACHE_HOME, or ~/.cache).
  """
  if named:
    return pathlib.Path(named).expanduser()
  caches = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
  return caches.expanduser() / "tagrec_jax"
