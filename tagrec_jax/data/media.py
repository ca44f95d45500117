"""Files of pictures and clips → one array, on all cores."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tagrec_jax.core.log import say

LARGEST_FILE = 2**28
"""Bytes; a larger file is not opened."""

_QUIET_SECONDS = 10.0
_MOST_THREADS = 16


class BadMedia(ValueError):
  """A file that gives nothing; `reason` is short and constant, to be counted.

  Raised by the readers of pictures and clips, and never further than here.
  """

  def __init__(self, reason: str):
    super().__init__(reason)
    self.reason = reason


def read_all(
  what: str,
  paths: Sequence[str],
  rows: np.ndarray,
  read: Callable[[str], np.ndarray],
  counts: collections.Counter[str],
) -> None:
  """Fills a row for each file that can be read; the others stay as they are.

  Says how far it is, if it takes long.

  Args:
    what: 'picture' or 'clip', for messages and counts.
    paths: of the files; '' where there is none, which is not counted.
    rows: [N, ...], filled in place.
    read: gives one row, or raises `BadMedia`. Called from several threads.
    counts: takes reason → files that could not be read.
  """

  def fill(row: int) -> str:
    try:
      _check_file(paths[row])
      rows[row] = read(paths[row])
    except BadMedia as bad:
      return bad.reason
    return ""

  given = [row for row, path in enumerate(paths) if path]
  begun = told = time.monotonic()
  threads = min(os.cpu_count() or 1, _MOST_THREADS)
  with (
    concurrent.futures.ThreadPoolExecutor(threads) as pool,
    _forgotten(pool),
  ):
    for done, reason in enumerate(pool.map(fill, given), 1):
      if reason:
        counts[f"{what}: {reason}"] += 1
      if time.monotonic() >= told + _QUIET_SECONDS:
        told = time.monotonic()
        rate = done / (told - begun)
        left = (len(given) - done) / rate
        say(
          f"{done:,} of {len(given):,} {what}s read, {rate:,.0f} a second,"
          f" {left:,.0f} s to go"
        )


@contextlib.contextmanager
def _forgotten(pool: concurrent.futures.ThreadPoolExecutor) -> Iterator[None]:
  """What has not begun never will, where somebody ends the work early."""
  try:
    yield
  finally:
    pool.shutdown(cancel_futures=True)


def _check_file(path: str) -> None:
  """Raises BadMedia for what must not be opened: a pipe could wait for ever."""
  try:
    about = os.stat(path)
  except (OSError, ValueError):
    raise BadMedia("no file") from None
  if not stat.S_ISREG(about.st_mode):
    raise BadMedia("not a file")
  if not about.st_size:
    raise BadMedia("empty file")
  if about.st_size > LARGEST_FILE:
    raise BadMedia("file too large")
