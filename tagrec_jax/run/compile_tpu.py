"""Compile a config for TPUs that are not here, and tell what they would need.

Each program is compiled in a process of its own. That is the real compiler for
the real target; only times are modelled.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from tagrec_jax.core import files
from tagrec_jax.core.errors import TagrecError, UserError
from tagrec_jax.core.log import say
from tagrec_jax.core.registry import nearest
from tagrec_jax.core.settings import Settings, to_dict
from tagrec_jax.run.aot import report
from tagrec_jax.run.aot.chips import chip_of
from tagrec_jax.run.aot.roofline import ASSUMPTIONS
from tagrec_jax.training.run_folder import versions

STEPS = ("train", "prepare", "evaluate", "serve")
"""As in `aot.programs`, which starts JAX and so is not imported here."""

_CHILD = "tagrec_jax.run.aot.child"

# The compiler must neither look for a TPU of this machine nor ask the cloud
# about it, and has no logs to keep.
_FOR_TPU = {
  "TPU_SKIP_MDS_QUERY": "1",
  "TPU_WORKER_HOSTNAMES": "localhost",
  "TPU_ACCELERATOR_TYPE": "v5litepod-16",
  "TPU_LOG_DIR": "disabled",
  # Its lock keeps a TPU for one process; here is none, and others may compile.
  "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


def compile_tpu(
  settings: Settings,
  topology: str,
  output: str,
  *,
  steps: Sequence[str] = STEPS,
  catalogue: Mapping[str, int],
  command: str = "",
) -> list[dict[str, Any]]:
  """Compiles, shows and keeps `<config>-<topology>.md` and `.json`.

  Args:
    topology: such as 'v5e:4x4'; 'cpu:8' takes fake devices of the CPU.
    output: a folder.
    steps: of `STEPS`.
    catalogue: 'products', 'tags' and 'tags_each' of a made-up catalogue;
      products 0: of the config's data set.
    command: that asked for this, for the report.

  Returns:
    What is told of each step.

  Raises:
    UserError: for an unknown step or topology, without the compiler, and where
      config and devices do not fit together.
  """
  chip = chip_of(topology)
  for step in steps:
    if step not in STEPS:
      raise UserError(
        "--steps",
        f"found '{step}'",
        f"some of {', '.join(STEPS)}",
        nearest(step, list(STEPS)),
      )
  if chip.name != "cpu" and importlib.util.find_spec("libtpu") is None:
    raise UserError(
      "libtpu",
      "not installed",
      "the compiler of TPUs",
      'pip install -e ".[tpu-compile]"',
    )
  folder = pathlib.Path(output)
  folder.mkdir(parents=True, exist_ok=True)
  asked = {"settings": to_dict(settings), "topology": topology, **catalogue}
  name = f"{settings.name}-{topology.replace(':', '-')}"
  found: list[dict[str, Any]] = []
  made = _versions() | {
    "command": command,
    "date": time.strftime("%Y-%m-%d"),
  }
  about = report.gathered(settings.name, topology, found, made)
  for step in steps:
    say(f"compiling '{step}' of {settings.name} for {topology}")
    found.append(run_child(asked | {"step": step}))
    # Compiling takes minutes: what is there is kept.
    about = report.gathered(settings.name, topology, found, made)
    files.write_json(folder / f"{name}.json", about)
    told = report.markdown(about)
    (folder / f"{name}.md").write_text(told, encoding="utf-8")
  console = Console()
  for table in report.tables(about):
    console.print(table)
  say("modelled times assume:")
  for assumption in ASSUMPTIONS:
    say(f"- {assumption}")
  say(f"everything: {folder / name}.md and .json")
  return found


def run_child(request: Mapping[str, Any]) -> dict[str, Any]:
  """What the process of one program found.

  A compiler that crashes is a finding too: 'failed' says how it ended.

  Raises:
    UserError: what the process told of config or topology.
  """
  with tempfile.TemporaryDirectory() as folder:
    asked = pathlib.Path(folder) / "request.json"
    answer = pathlib.Path(folder) / "result.json"
    files.write_json(asked, request)
    done = subprocess.run(  # noqa: S603 our own module
      [sys.executable, "-m", _CHILD, str(asked), str(answer)],
      env=_environment(request["topology"]),
      stderr=subprocess.PIPE,
      text=True,
      errors="replace",
      check=False,
    )
    if answer.exists():
      return json.loads(answer.read_text(encoding="utf-8"))
  lines = [line for line in done.stderr.splitlines() if line.strip()]
  told = [line for line in lines if line.startswith("ERROR: ")]
  if told and done.returncode == TagrecError.exit_code:
    raise UserError("", told[-1].removeprefix("ERROR: "))
  ended = (
    f"signal {-done.returncode}"
    if done.returncode < 0
    else f"code {done.returncode}"
  )
  last = lines[-1].strip()[:300] if lines else "it said nothing"
  failed = f"the compiler's process ended with {ended}: {last}"
  return {"step": request["step"], "failed": failed}


def _versions() -> dict[str, str]:
  """What a compiled program depends on besides its config."""
  found = versions() | {"libtpu": ""}
  with contextlib.suppress(importlib.metadata.PackageNotFoundError):
    found["libtpu"] = importlib.metadata.version("libtpu")
  changed = "+" * found["commit"].endswith("+")
  found["commit"] = found["commit"][:10] + changed
  return {name: found[name] for name in ("commit", "jax", "libtpu")}


def _environment(topology: str) -> dict[str, str]:
  """Of the process that compiles: it computes on the CPU alone."""
  environment = dict(os.environ) | {"JAX_PLATFORMS": "cpu"}
  name, _, shape = topology.partition(":")
  if name != "cpu":
    return environment | _FOR_TPU
  count = f"--xla_force_host_platform_device_count={shape}"
  flags = [
    flag
    for flag in environment.get("XLA_FLAGS", "").split()
    if "host_platform_device_count" not in flag
  ]
  return environment | {"XLA_FLAGS": " ".join([*flags, count])}
