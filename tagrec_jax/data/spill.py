"""Rows that lie in a file as soon as there are many, read part after part."""

from __future__ import annotations

import io
import pathlib
import tempfile
import weakref
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from tagrec_jax.core.errors import StorageError
from tagrec_jax.data import folders
from tagrec_jax.data.mapped import LARGE

PART = 2**18
"""Rows that are in memory at a time."""


class Spill:
  """Rows of one type, in the order in which they came.

  What is too much for memory lies in a file without a name, which is gone with
  the process however that ends.

  Args:
    dtype: of a row.
    folder: on whose disk the file is made; made if need be.
    in_memory: bytes that need no file.
  """

  def __init__(self, dtype: Any, folder: pathlib.Path, in_memory: int = LARGE):
    self.dtype = np.dtype(dtype)
    self._folder = folder
    self._in_memory = in_memory
    self._arrays: list[np.ndarray] = []
    self._file: IO[bytes] | None = None
    self._rows = 0

  def __len__(self) -> int:
    return self._rows

  def append(self, rows: np.ndarray) -> None:
    rows = np.ascontiguousarray(rows, self.dtype)
    self._rows += len(rows)
    if self._file is None:
      self._arrays.append(rows)
      if self._rows * self.dtype.itemsize <= self._in_memory:
        return
      waiting, self._arrays = self._arrays, []
    else:
      waiting = [rows]
    try:
      if self._file is None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
        weakref.finalize(self, self._file.close)
      for array in waiting:
        self._file.write(array.data.cast("B") if array.size else b"")
    except OSError as error:
      raise self._failed("written", error) from error

  def parts(self) -> Iterator[np.ndarray]:
    """All rows, at most `PART` at a time; not to be changed."""
    for begin in range(0, self._rows, PART):
      yield self.read(begin, min(begin + PART, self._rows))

  def read(self, begin: int, end: int) -> np.ndarray:
    """The rows begin:end, which are there; not to be changed."""
    if self._file is None:
      return self._joined()[begin:end]
    size = self.dtype.itemsize
    try:
      self._file.seek(begin * size)
      content = self._file.read((end - begin) * size)
      self._file.seek(0, io.SEEK_END)  # where rows are appended
    except OSError as error:
      raise self._failed("read", error) from error
    return np.frombuffer(content, self.dtype)

  def array(self) -> np.ndarray:
    """All rows, not to be changed; mapped if they lie in a file."""
    if self._file is None:
      return self._joined()
    self._file.flush()
    return np.memmap(self._file, self.dtype, "r").view(np.ndarray)

  def _joined(self) -> np.ndarray:
    if len(self._arrays) != 1:
      empty = np.zeros(0, self.dtype)
      self._arrays = [np.concatenate([empty, *self._arrays])]
    return self._arrays[0]

  def _failed(self, what: str, error: OSError) -> StorageError:
    return StorageError(
      str(self._folder),
      f"events cannot be {what} ({folders.reason(error)})",
      "a disk with room for 100 bytes an event while data is prepared",
      "look at the disk or choose another config.data.cache_dir",
    )
