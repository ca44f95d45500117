"""Flags of commands whose work several processes share, see docs/launch.md."""

from __future__ import annotations

import os
import sys

from absl import flags

from tagrec_jax.core import host

_PROCESSES = flags.DEFINE_string(
  "processes",
  "",
  "how many share the work; auto: what JAX finds out; by default that where"
  " SLURM, Open MPI or a TPU slice tells of several",
)
_PROCESS = flags.DEFINE_integer(
  "process", None, "which of --processes this is, from 0"
)
_COORDINATOR = flags.DEFINE_string(
  "coordinator", "", "HOST:PORT of the first of --processes"
)


def join() -> None:
  """Joins the other processes of a job; only the first one prints results."""
  first = not host.join(_PROCESSES.value, _PROCESS.value, _COORDINATOR.value)
  if not first:
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
