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
"""Of the folder and of the meta; raised when older readers would fail, and when
a leaf of the same name would mean something else.

1: until 2026-11-28. Some parameters had other names, nothing was said of which
part of the data is which, and sets, words and numbers of products were read
otherwise. 2: as today.
"""

_RENAMED = (
  (re.compile(r"\b(decoders\.\d+)\.own\."), r"\1.catalogue."),
  (re.compile(r"\bproducts\.special$"), "events.special"),
)
# Tables of sets, words and classes, and maps of numbers.
_READ_OTHERWISE = re.compile(
  r"\bproducts\.content\.(\D[^.]*\.(table|map\.)|\d+\.embed\.)"
)


def migrated(meta: Mapping[str, Any]) -> dict[str, Any]:
  """A meta of any older format in today's.

  Its member 'stored' holds today's name → the name in the files, for those
  leaves whose names differ; 'unreadable' a leaf that no longer means the same,
  or ''.
  """
  new = dict(meta)
  new["config"] = complete(meta["config"])
  new["stored"], new["unreadable"] = {}, ""
  if meta["format"] == 1:
    names = {old: _renamed(old) for old in meta["tree"]}
    new["stored"] = {n: old for old, n in names.items() if n != old}
    new["tree"] = {names[old]: kind for old, kind in meta["tree"].items()}
    changed = (name for name in names if _READ_OTHERWISE.search(name))
    new["unreadable"] = next(changed, "")
    new["parts"] = {}
  return new


def _renamed(leaf: str) -> str:
  """What a leaf of format 1 is called today.

  Checkpoints of format 1 were written while names were changed: one that is
  as today stays as it is.
  """
  for pattern, name in _RENAMED:
    leaf = pattern.sub(name, leaf)
  return leaf
