"""MovieLens 100K out of the wheel of RecBole, which PyPI serves everywhere.

The wheel is only unzipped: nothing in it is installed, imported or run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile

from tagrec_jax.core import paths
from tagrec_jax.core.errors import StorageError
from tagrec_jax.core.files import sha256

_REQUIREMENT = "recbole==1.2.1"
_WHEEL = "recbole-1.2.1-py3-none-any.whl"
_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
_INSIDE = "recbole/dataset_example/ml-100k/"
_FILES = ("ml-100k.inter", "ml-100k.item", "ml-100k.user")
_SECONDS = 300  # pip gives up on a dead network sooner
_BY_HAND = (
  "get ml-100k.zip of GroupLens by hand, unpack it and name its folder in "
  "config.data.folder"
)


def movielens_100k(cache_dir: str = "") -> str:
  """The folder of the three files, downloaded on first use.

  Args:
    cache_dir: where downloads are kept; '': the user's cache.

  Raises:
    StorageError: if pip cannot get the wheel, it is not the known one, or the
      cache cannot be written.
  """
  downloads = os.path.join(paths.cache_folder(cache_dir), "downloads")
  folder = os.path.join(downloads, "ml-100k")
  if os.path.isdir(folder):
    return folder
  try:
    os.makedirs(downloads, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=downloads) as work:
      wheel = _download(work)
      _check(wheel)
      unpacked = os.path.join(work, "ml-100k")
      _unpack(wheel, unpacked)
      _publish(unpacked, folder)
  except OSError as error:
    found = f"cannot be written ({error.strerror or error})"
    raise StorageError(
      downloads, found, fix="set config.data.cache_dir to a writable folder"
    ) from error
  return folder


def _download(work: str) -> str:
  # Only wheels: pip would run the setup.py of a source distribution.
  command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input"]
  command += ["--disable-pip-version-check", "--no-deps"]
  command += ["--only-binary=:all:", "--dest", work, _REQUIREMENT]
  try:
    done = subprocess.run(  # noqa: S603 (our own words only)
      command, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    problem = done.stderr.strip().splitlines() if done.returncode else []
  except subprocess.TimeoutExpired:
    problem = [f"no answer in {_SECONDS} s"]
  wheel = os.path.join(work, _WHEEL)
  if problem or not os.path.isfile(wheel):
    raise StorageError(
      "config.data.source",
      f"pip could not download {_REQUIREMENT}, which carries MovieLens 100K "
      f"({problem[-1][:160] if problem else 'no wheel'})",
      "a network that reaches PyPI",
      _BY_HAND,
    )
  return wheel


def _check(wheel: str) -> None:
  found = sha256(wheel)
  if found != _SHA256:
    raise StorageError(_WHEEL, f"sha256 {found}", _SHA256, _BY_HAND)


def _unpack(wheel: str, folder: str) -> None:
  os.mkdir(folder)
  with zipfile.ZipFile(wheel) as archive:
    # By name: no path out of the archive is ever used.
    for file in _FILES:
      with (
        archive.open(_INSIDE + file) as packed,
        open(os.path.join(folder, file), "wb") as out,
      ):
        shutil.copyfileobj(packed, out)


def _publish(unpacked: str, folder: str) -> None:
  """All files appear at once; whoever came first has the same ones."""
  try:
    os.rename(unpacked, folder)
  except OSError:
    if not os.path.isdir(folder):
      raise
