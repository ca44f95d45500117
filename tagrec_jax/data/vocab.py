"""Ids of products, tags and people ↔ rows of arrays."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Int32

from tagrec_jax.core.axes import UNKNOWN


@dataclasses.dataclass(frozen=True, slots=True)
class Vocabulary:
  """A fixed list of ids; each one's index is its place.

  Attributes:
    ids: in the order they were given. Where the order means nothing, use
      `sorted`: then it depends on nothing but the ids.

  Raises:
    ValueError: if an id comes twice.
  """

  ids: Sequence[str]
  _rows: Mapping[str, int] = dataclasses.field(
    init=False, repr=False, compare=False
  )

  def __post_init__(self):
    ids = tuple(self.ids)
    rows = {id: row for row, id in enumerate(ids)}
    if len(rows) < len(ids):
      twice = next(id for row, id in enumerate(ids) if rows[id] != row)
      raise ValueError(f"id {twice!r} comes twice in a vocabulary")
    object.__setattr__(self, "ids", ids)
    object.__setattr__(self, "_rows", rows)

  @classmethod
  def sorted(cls, ids: Iterable[str]) -> Vocabulary:
    """The ids in the order of their code points."""
    return cls(tuple(sorted(ids)))

  def extended(self, ids: Iterable[str]) -> Vocabulary:
    """The same rows, and more ids after them in the order given."""
    return Vocabulary((*self.ids, *ids))

  def __len__(self) -> int:
    return len(self.ids)

  def __contains__(self, id: str) -> bool:
    return id in self._rows

  def index(self, id: str) -> int:
    """The row of one id; UNKNOWN if it has none."""
    return self._rows.get(id, UNKNOWN)

  def indices(self, ids: Iterable[str]) -> Int32[np.ndarray, " N"]:
    """The row of each id; UNKNOWN where it has none."""
    rows = self._rows
    return np.fromiter((rows.get(id, UNKNOWN) for id in ids), np.int32)

  @property
  def fingerprint(self) -> str:
    """sha256 (hex) of the ids in order."""
    digest = hashlib.sha256()
    for id in self.ids:
      # The length keeps ('ab', 'c') and ('a', 'bc') apart; ids may hold any
      # character, even a lone surrogate out of a damaged file.
      text = id.encode("utf-8", "surrogatepass")
      digest.update(len(text).to_bytes(8, "little"))
      digest.update(text)
    return digest.hexdigest()
