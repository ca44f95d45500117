"""Folders that appear at once and complete, with sums over their files."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import socket
import uuid
from collections.abc import Iterator

from tagrec_jax.core.errors import StorageError
from tagrec_jax.core.files import sha256

AGAIN = "delete the folder, it will be prepared again"
"""What to do about what is damaged."""

_SUMS = "SHA256SUMS"


@contextlib.contextmanager
def building(folder: pathlib.Path) -> Iterator[pathlib.Path]:
  """A new folder beside `folder`, to be filled and renamed to it.

  It is gone in the end, if it was not renamed; what killed processes left is
  gone in the beginning.
  """
  mark = f"{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
  new = folder.with_name(f"{folder.name}.{mark}.incomplete")
  try:
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder)
    new.mkdir()
    yield new
  finally:
    shutil.rmtree(new, ignore_errors=True)


def write_sums(folder: pathlib.Path) -> None:
  """Of all files below; `sha256sum -c` reads them too."""
  files = sorted(path for path in folder.rglob("*") if path.is_file())
  lines = [f"{sha256(path)}  {path.relative_to(folder)}" for path in files]
  (folder / _SUMS).write_text("\n".join(lines) + "\n", encoding="ascii")


def check_sums(folder: pathlib.Path, fix: str = AGAIN) -> None:
  """Raises StorageError unless all files are there, as they were written."""
  try:
    for line in (folder / _SUMS).read_text(encoding="ascii").splitlines():
      expected, name = line.split("  ", 1)
      if sha256(folder / name) != expected:
        raise StorageError(
          str(folder / name), "not the bytes that were written", "", fix
        )
  except (OSError, ValueError) as error:
    where = getattr(error, "filename", None) or folder / _SUMS
    raise StorageError(
      str(where), f"cannot be read ({reason(error)})", "", fix
    ) from error


def reason(error: BaseException) -> str:
  """One line of an error."""
  if isinstance(error, OSError) and error.strerror:
    return error.strerror
  return (str(error) or type(error).__name__).splitlines()[0][:200]


def _remove_abandoned(folder: pathlib.Path) -> None:
  """Removes what killed processes of this machine left of this folder."""
  ours = f"{folder.name}.{socket.gethostname()}."
  for path in folder.parent.iterdir():
    if not path.name.startswith(ours):
      continue
    process = path.name.removeprefix(ours).split(".")[0]
    try:
      os.kill(int(process), 0)
    except ProcessLookupError:
      shutil.rmtree(path, ignore_errors=True)
    except (PermissionError, ValueError, OverflowError):
      continue  # someone else's and alive, or not ours at all
