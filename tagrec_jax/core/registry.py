"""Tables from a name in a config to the object it stands for."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from typing import Any

from tagrec_jax.core.errors import UserError


def nearest(name: str, known: list[str]) -> str:
  """The fix for a wrong name: the closest known one, or all of them."""
  close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
  return f"use '{close[0]}'" if close else f"use one of {', '.join(known)}"


class Registry:
  """A fixed table of names; the modules behind them load on first use.

  Names can be checked without importing JAX, so a typo in a config is told at
  once.

  Args:
    field: the config field whose values these names are.
    targets: name → 'package.module:attribute'.
  """

  def __init__(self, field: str, targets: Mapping[str, str]):
    self.field = field
    self._targets = dict(targets)

  @property
  def names(self) -> list[str]:
    return sorted(self._targets)

  def check(self, name: str) -> None:
    """Raises UserError, naming the known names, unless `name` is one."""
    if name not in self._targets:
      raise UserError(
        self.field,
        f"found '{name}'",
        f"one of {', '.join(self.names)}",
        nearest(name, self.names),
      )

  def __getitem__(self, name: str) -> Any:
    self.check(name)
    module, attribute = self._targets[name].split(":")
    return getattr(importlib.import_module(module), attribute)
