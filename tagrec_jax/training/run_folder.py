"""The folder of one run: who works in it, and what made it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pathlib
import platform
import socket
import subprocess
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any

import jax

from tagrec_jax.core.errors import BusyError, StorageError
from tagrec_jax.core.files import write_json

PACKAGES = (
  "tagrec_jax",
  "jax",
  "jaxlib",
  "flax",
  "optax",
  "orbax-checkpoint",
  "numpy",
)


class RunFolder:
  """Names of the things in a --workdir."""

  def __init__(self, path: pathlib.Path):
    self.path = path
    self.checkpoints = path / "checkpoints"
    self.metrics = path / "metrics.jsonl"
    self.skipped = path / "skipped_steps.jsonl"
    self.tensorboard = path / "tensorboard"
    self.curves = path / "curves.png"
    self.evaluation = path / "evaluation"
    self.config = path / "config.json"
    self.versions = path / "versions.json"

  def describe(
    self, config: Mapping[str, Any], versions: Mapping[str, str]
  ) -> None:
    """Writes what the run was started with."""
    with _storage(self.path):
      write_json(self.config, config)
      write_json(self.versions, versions)


@contextlib.contextmanager
def open_run(workdir: str | pathlib.Path) -> Iterator[RunFolder]:
  """Makes the folder and keeps other runs out of it.

  Of several processes of one run, the first holds the lock for all.

  The lock is the kernel's, so it ends with the process, however that ends; the
  file's text only says who holds it.

  Raises:
    BusyError: if another run works here.
    StorageError: if the folder cannot be made or written.
  """
  folder = RunFolder(pathlib.Path(workdir))
  # Asking for the index alone would start the devices.
  if jax.distributed.is_initialized() and jax.process_index() > 0:
    yield folder
    return
  with _storage(folder.path):
    folder.path.mkdir(parents=True, exist_ok=True)
    # Not 'w': that would wipe the other run's text before asking for the lock.
    lock = (folder.path / "lock").open("a+", encoding="utf-8")
  with lock:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      raise BusyError(
        str(folder.path),
        f"another run works here ({_holder(lock)})",
        "a folder of its own for each run",
        "wait for it, stop it, or choose another --workdir",
      ) from error
    except OSError as error:
      raise StorageError(
        str(folder.path),
        f"cannot be locked ({error.strerror})",
        "a file system with locks",
        "choose another --workdir",
      ) from error
    with _storage(folder.path):
      lock.truncate(0)
      json.dump({"pid": os.getpid(), "host": socket.gethostname()}, lock)
      lock.flush()
    yield folder


def versions() -> dict[str, str]:
  """What the numbers of a run depend on besides its config."""
  found = {"python": platform.python_version(), "commit": _commit()}
  for name in PACKAGES:
    with contextlib.suppress(metadata.PackageNotFoundError):
      found[name] = metadata.version(name)
  return found


def _commit() -> str:
  """Of the code in use, with '+' if files were changed; '' outside git."""
  here = pathlib.Path(__file__)

  def git(*arguments: str) -> str:
    return subprocess.run(  # noqa: S603 (fixed commands)
      ["git", *arguments],  # noqa: S607 (git is where PATH says)
      cwd=here.parent,
      capture_output=True,
      text=True,
      timeout=10,
      check=True,
    ).stdout.strip()

  try:
    # Installed into somebody's repository, the code is not part of it.
    git("ls-files", "--error-unmatch", here.name)
    changed = git("status", "--porcelain", "--untracked-files=no")
    return git("rev-parse", "HEAD") + ("+" if changed else "")
  except (OSError, subprocess.SubprocessError):
    return ""


def _holder(lock: Any) -> str:
  lock.seek(0)
  try:
    held = json.loads(lock.read())
    return f"pid {held['pid']} on {held['host']}"
  except (ValueError, KeyError, TypeError):
    return "it has not said who it is"


@contextlib.contextmanager
def _storage(path: pathlib.Path) -> Iterator[None]:
  try:
    yield
  except OSError as error:
    raise StorageError(
      str(path),
      f"cannot be written ({error.strerror})",
      "a folder for this run",
      "choose another --workdir",
    ) from error
