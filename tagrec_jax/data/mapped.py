"""Columns in files that are mapped, so that memory does not grow with them."""

from __future__ import annotations

import contextlib
import json
import mmap
import pathlib
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.lib import format as npy

from tagrec_jax.core.errors import StorageError
from tagrec_jax.data import folders
from tagrec_jax.data.lists import Columns, Lists

LARGE = 2**24
"""Bytes; what is larger lies in files. Smaller data is read faster at once."""

_INDEX = "columns.json"


def mapped_columns(
  folder: pathlib.Path, make: Callable[[], Iterable[Columns]]
) -> dict[str, Any]:
  """Columns out of `folder`, which is made once, complete or not at all.

  Every byte is checked. Several processes may do this at once.

  Args:
    make: the columns, part after part, if they are not there yet.

  Raises:
    StorageError: if they cannot be written, or naming the damaged file.
  """
  if not folder.exists():
    try:
      write_columns(folder, make())
    except OSError as error:
      raise StorageError(
        str(folder),
        f"cannot be written ({folders.reason(error)})",
        "a folder on a disk with room",
        "look at the disk: large columns are kept there, not in memory",
      ) from error
  folders.check_sums(folder, "delete the folder, it will be made again")
  return open_columns(folder)


def open_columns(folder: pathlib.Path) -> dict[str, Any]:
  """What `write_columns` wrote, unchecked: only what is used is read."""
  index = json.loads((folder / _INDEX).read_text(encoding="ascii"))
  return {
    column["name"]: Lists(
      _open(folder / column["values"]), _open(folder / column["offsets"])
    )
    if "offsets" in column
    else _open(folder / column["values"])
    for column in index
  }


def gathered(parts: Iterable[np.ndarray], dtype: Any) -> np.ndarray:
  """The parts one after another, in an array that may be changed.

  A large one lies in a file without a name among the temporary ones.
  """
  try:
    with tempfile.TemporaryFile() as file:
      for part in parts:
        file.write(np.ascontiguousarray(part, dtype).data)
      size = file.tell()
      file.seek(0)
      if size <= LARGE:
        return np.frombuffer(bytearray(file.read()), dtype)
      return np.memmap(file, dtype, "r+").view(np.ndarray)
  except OSError as error:
    raise StorageError(
      tempfile.gettempdir(),
      f"cannot be written ({folders.reason(error)})",
      "4 to 16 bytes for each person",
      "set TMPDIR to a folder on a disk with room",
    ) from error


def forget(*arrays: np.ndarray) -> None:
  """Gives pages of mapped files back, which are read again if need be.

  Else all that was ever looked at counts as memory of this process, until the
  system needs room.
  """
  for array in arrays:
    base: Any = array
    while isinstance(base, np.ndarray):
      base = base.base
    if isinstance(base, mmap.mmap) and hasattr(base, "madvise"):
      base.madvise(mmap.MADV_DONTNEED)


class _Growing:
  """A .npy file to which rows are appended."""

  def __init__(self, path: pathlib.Path):
    self.name = path.name
    self.rows = 0
    self._file = path.open("wb")
    self._kind: tuple[np.dtype, tuple[int, ...]] | None = None

  def add(self, array: np.ndarray) -> None:
    if self._kind is None:
      self._kind = array.dtype, array.shape[1:]
      self._write_header()
    assert self._kind == (array.dtype, array.shape[1:])
    self._file.write(np.ascontiguousarray(array).data)
    self.rows += len(array)

  def close(self) -> None:
    self._file.seek(0)
    self._write_header()  # numpy leaves room for any number of rows
    self._file.close()

  def _write_header(self) -> None:
    assert self._kind is not None
    dtype, shape = self._kind
    npy.write_array_header_1_0(
      self._file,
      {
        "descr": npy.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": (self.rows, *shape),
      },
    )


class _GrowingLists:
  """Two .npy files to which lists are appended."""

  def __init__(self, values: pathlib.Path, offsets: pathlib.Path):
    self.values, self.offsets = _Growing(values), _Growing(offsets)
    self.offsets.add(np.zeros(1, np.int64))

  def add(self, lists: Lists) -> None:
    offsets = lists.offsets[1:] - lists.offsets[0] + self.values.rows
    self.values.add(lists.values)
    self.offsets.add(offsets)

  def close(self) -> None:
    self.values.close()
    self.offsets.close()


def write_columns(folder: pathlib.Path, parts: Iterable[Columns]) -> None:
  """Writes a folder of columns; if another process was quicker, its is kept."""
  with folders.building(folder) as new:
    with contextlib.ExitStack() as stack:
      growing: dict[str, Any] = {}
      for part in parts:
        for name, column in part.items():
          if name not in growing:
            # Names may hold any character, so files have numbers.
            begin = new / str(len(growing))
            values = begin.with_suffix(".values.npy")
            growing[name] = stack.enter_context(
              contextlib.closing(
                _GrowingLists(values, begin.with_suffix(".offsets.npy"))
                if isinstance(column, Lists)
                else _Growing(values)
              )
            )
          growing[name].add(column)
    index = [
      {
        "name": name,
        "values": column.values.name,
        "offsets": column.offsets.name,
      }
      if isinstance(column, _GrowingLists)
      else {"name": name, "values": column.name}
      for name, column in growing.items()
    ]
    (new / _INDEX).write_text(json.dumps(index, indent=1), encoding="ascii")
    folders.write_sums(new)
    try:
      new.rename(folder)
    except OSError:
      if not (folder / _INDEX).exists():
        raise


def _open(path: pathlib.Path) -> np.ndarray:
  array = np.load(path, mmap_mode="r", allow_pickle=False)
  # A plain array: each slice of a memmap would be one, which is slow.
  return array.view(np.ndarray)
