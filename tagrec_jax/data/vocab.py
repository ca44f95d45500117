"""Ids of products, tags and people ↔ rows of arrays."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import overload

import numpy as np
from jaxtyping import Int32

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.data.lists import Lists
from tagrec_jax.data.mapped import LARGE

_PART = 2**16


class SortedIds(Sequence[str]):
  """Ids as their letters in one array, which may be mapped: none is an object.

  One is found by halving, which is right only if they `ascend`.

  Args:
    letters: uint8, UTF-8 of each id; its order is that of code points.
  """

  def __init__(self, letters: Lists):
    self.letters = letters

  def ascend(self) -> bool:
    """Whether each id comes after the one before it."""
    pairs = itertools.pairwise(self._encoded())
    return all(one < other for one, other in pairs)

  def __len__(self) -> int:
    return len(self.letters.offsets) - 1

  @overload
  def __getitem__(self, key: int) -> str: ...
  @overload
  def __getitem__(self, key: slice) -> tuple[str, ...]: ...
  def __getitem__(self, key: int | slice) -> str | tuple[str, ...]:
    if isinstance(key, slice):
      return tuple(self[row] for row in range(len(self))[key])
    return decoded(self.letters[range(len(self))[key]].tobytes())

  def __iter__(self) -> Iterator[str]:
    return map(decoded, self._encoded())

  def __contains__(self, id: object) -> bool:
    return isinstance(id, str) and self.get(id, UNKNOWN) != UNKNOWN

  def __eq__(self, other: object) -> bool:
    if not isinstance(other, Sequence) or len(self) != len(other):
      return NotImplemented
    return all(a == b for a, b in zip(self, other, strict=True))

  def __hash__(self) -> int:
    return hash(tuple(self))

  def get(self, id: str, default: int) -> int:
    """The row of an id."""
    row = bisect_left(self, id)
    return row if row < len(self) and self[row] == id else default

  def _encoded(self) -> Iterator[bytes]:
    offsets = self.letters.offsets
    for begin in range(0, len(self), _PART):
      bounds = offsets[begin : begin + _PART + 1]
      joined = self.letters.values[bounds[0] : bounds[-1]].tobytes()
      for start, end in itertools.pairwise((bounds - bounds[0]).tolist()):
        yield joined[start:end]


def encoded(text: str) -> bytes:
  """UTF-8 of any text: damaged files may hold characters it does not take."""
  return text.encode("utf-8", "surrogatepass")


def decoded(letters: bytes) -> str:
  """What was `encoded`."""
  return letters.decode("utf-8", "surrogatepass")


def letters_of(texts: Sequence[str]) -> Lists:
  """UTF-8 of each text."""
  if isinstance(texts, SortedIds):
    return texts.letters
  letters = [encoded(text) for text in texts]
  lengths = np.fromiter(map(len, letters), np.int64)
  return Lists.of(np.frombuffer(b"".join(letters), np.uint8), lengths)


def texts_of(letters: Lists) -> tuple[str, ...]:
  """What `letters_of` was made of."""
  joined = letters.values.tobytes()
  return tuple(
    decoded(joined[start:end])
    for start, end in itertools.pairwise(letters.offsets.tolist())
  )


@dataclasses.dataclass(frozen=True, slots=True)
class Vocabulary:
  """A fixed list of ids; each one's index is its place.

  Attributes:
    ids: in the order they were given. Where the order means nothing, use
      `sorted`: then it depends on nothing but the ids. `SortedIds` stay as they
      are, all else becomes a tuple.

  Raises:
    ValueError: if an id comes twice.
  """

  ids: Sequence[str]
  _rows: Mapping[str, int] | SortedIds = dataclasses.field(
    init=False, repr=False, compare=False
  )

  def __post_init__(self):
    if isinstance(self.ids, SortedIds):
      object.__setattr__(self, "_rows", self.ids)
      return
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

  @classmethod
  def of_letters(cls, letters: Lists, large: bool | None = None) -> Vocabulary:
    """Of ids as letters; of many, which `ascend`, none becomes an object.

    Args:
      large: whether they are many; None: their letters tell.
    """
    if large is None:
      large = letters.values.nbytes > LARGE
    if large and (ids := SortedIds(letters)).ascend():
      return cls(ids)
    return cls(texts_of(letters))

  def extended(self, ids: Iterable[str]) -> Vocabulary:
    """The same rows, and more ids after them in the order given."""
    more = tuple(ids)
    return Vocabulary((*self.ids, *more)) if more else self

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
      # The length keeps ('ab', 'c') and ('a', 'bc') apart.
      text = encoded(id)
      digest.update(len(text).to_bytes(8, "little"))
      digest.update(text)
    return digest.hexdigest()
