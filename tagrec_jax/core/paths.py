"""Where things are kept that can be made or fetched again."""

from __future__ import annotations

import pathlib


def cache_folder(named: str = "") -> pathlib.Path:
  """The folder of prepared data and downloads; need not exist yet.

  Args:
    named: `config.data.cache_dir`; '' stands for ~/.cache/tagrec_jax.
  """
  return pathlib.Path(named or "~/.cache/tagrec_jax").expanduser()
