"""This process: what makes it quicker, and which others it works with."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import sys

from tagrec_jax.core import paths
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.log import warn

MAX_PROGRAM_BYTES = 2**30
MIN_COMPILE_SECONDS = 0.1

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # of glibc's malloc.h


HEARTBEAT_SECONDS = 30
"""After which a process that is silent ends all others."""


def join(processes: str, process: int | None, coordinator: str) -> int:
  """Makes this process one of several that share a job, before JAX starts.

  Args:
    processes: how many there are; 'auto': what JAX finds out on a TPU slice, in
      SLURM, Open MPI or Kubernetes; '': that where the environment says that
      there are several, and one elsewhere.
    process: which of them this is, from 0.
    coordinator: host:port of the first, the same for all.

  Returns:
    Which of them this is. The first one writes and tells.

  Raises:
    UserError: if they cannot be found, or do not all come.
  """
  if not processes and _alone():
    if process is None and not coordinator:
      return 0
    processes = "none"
  known = None if processes in ("", "auto") else processes
  if known and (
    not known.isdecimal() or process is None or ":" not in coordinator
  ):
    raise UserError(
      "flags",
      f"found --processes={known} --process={process}"
      f" --coordinator={coordinator}",
      "all three, or --processes=auto alone",
      "use --processes=2 --process=0 --coordinator=HOST:1234 on the first host"
      " and --process=1 on the second",
    )
  import jax

  try:
    jax.distributed.initialize(
      coordinator or None,
      int(known) if known else None,
      process,
      heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
    )
  except (RuntimeError, ValueError) as error:
    raise UserError(
      "--processes",
      f"they do not come together ({str(error).splitlines()[0][:200]})",
      "all of them, each with a number of its own",
      "start the same command on all hosts, or tell --processes, --process and"
      " --coordinator",
    ) from error
  return jax.process_index()


def _alone() -> bool:
  """Whether the environment does not tell of several processes."""
  return (
    int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) == 1
    and int(os.environ.get("OMPI_COMM_WORLD_SIZE", "1")) == 1
    and "," not in os.environ.get("TPU_WORKER_HOSTNAMES", "")
    and "MEGASCALE_COORDINATOR_ADDRESS" not in os.environ
  )


def prepare(cache_dir: str) -> None:
  """To be called by whatever compiles, before it does.

  Args:
    cache_dir: `config.data.cache_dir`.
  """
  keep_large_blocks()
  _keep_programs(paths.cache_folder(cache_dir))


def programs_folder(cache: pathlib.Path) -> str:
  """Where compiled programs are kept for the next start; '' for nowhere.

  What JAX was told by its own settings ($JAX_COMPILATION_CACHE_DIR,
  $JAX_ENABLE_COMPILATION_CACHE) comes first.
  """
  import jax

  if not jax.config.values["jax_enable_compilation_cache"]:
    return ""
  told = jax.config.values["jax_compilation_cache_dir"]
  return str(cache / "programs") if told is None else told


def _keep_programs(cache: pathlib.Path) -> None:
  import jax

  if jax.config.values["jax_compilation_cache_dir"] is not None:
    return  # whoever named a folder also chose its size
  if not (named := programs_folder(cache)):
    return
  folder = pathlib.Path(named)
  try:
    folder.mkdir(parents=True, exist_ok=True)
    writable = os.access(folder, os.W_OK | os.X_OK)
  except OSError:
    writable = False
  if not writable:
    warn(
      f"{folder}: cannot be written, so each start compiles anew; set"
      " config.data.cache_dir to a folder that can"
    )
    return
  _remove_oldest(folder, MAX_PROGRAM_BYTES)
  jax.config.update("jax_compilation_cache_dir", named)
  jax.config.update(
    "jax_persistent_cache_min_compile_time_secs", MIN_COMPILE_SECONDS
  )


def _remove_oldest(folder: pathlib.Path, most: int) -> None:
  """Keeps the programs used last, of `most` bytes in all.

  JAX's own limit needs another package, and fails for ever after it was killed
  between the two files it writes for a program.
  """
  # Another process may remove the same files.
  with contextlib.suppress(FileNotFoundError):
    found = [(path.stat(), path) for path in folder.glob("*-cache")]
    found.sort(key=lambda entry: entry[0].st_atime, reverse=True)
    for about, path in found:
      most -= about.st_size
      if most < 0:
        path.unlink()


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
