"""Settings of the process that runs the CPU backend."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # of glibc's malloc.h


def keep_large_blocks() -> None:
  """Lets the allocator keep large blocks instead of giving them back.

  XLA asks for the same large arrays at every step. glibc would return each to
  the kernel and fetch it again, page by page; on a CPU that can cost as much
  time as the computation. Does nothing where the C library is another.
  """
  if not sys.platform.startswith("linux"):
    return
  libc = ctypes.CDLL(None)
  if not hasattr(libc, "mallopt"):
    return
  libc.mallopt(_MMAP_MAX, 0)
  libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
  libc.mallopt(_TOP_PAD, 64 * 2**20)
