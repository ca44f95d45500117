"""Checkpoints of older formats, as if they were written today.

Nothing on disk is changed: what an old checkpoint says of itself is told in
today's words, and each leaf remembers the name that it has in the files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tagrec_jax.core.recorded import complete

FORMAT = 2
"""Of the folder and of the meta; raised when older readers would fail.

1: until 2026-11-25 parameters had other names, and nothing was said of which
part of the data is which. 2: as today.
"""

ID = "id"

_RENAMED = (
  (re.compile(r"\b(decoders\.\d+)\.own\."), r"\1.catalogue."),
  (re.compile(r"\bproducts\.special$"), "events.special"),
)
_CONTENT = "products.content."


def migrated(meta: Mapping[str, Any]) -> dict[str, Any]:
  """A meta of any older format in today's.

  Its member 'stored' holds today's name → the name in the files, for those
  leaves whose names differ.
  """
  new = dict(meta)
  new["config"] = complete(meta["config"])
  new["stored"] = {}
  if meta["format"] == 1:
    features = new["config"].get("model", {}).get("product", ())
    names = {old: _renamed(old, features) for old in meta["tree"]}
    new["stored"] = {n: old for old, n in names.items() if n != old}
    new["tree"] = {names[old]: kind for old, kind in meta["tree"].items()}
    new["parts"] = {}
    new["format"] = FORMAT
  return new


def _renamed(leaf: str, features: list[str]) -> str:
  """What a leaf of format 1 is called today.

  Checkpoints of format 1 were written while names were changed: one that is
  as today stays as it is.
  """
  for pattern, name in _RENAMED:
    leaf = pattern.sub(name, leaf)
  before, found, rest = leaf.partition(_CONTENT)
  content = [name for name in features if name != ID]
  for number, name in enumerate(content):
    if found and rest.startswith(f"{name}."):
      return f"{before}{found}{number}.embed{rest.removeprefix(name)}"
  return leaf
