"""What this machine offers a run, and what it lacks."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import pathlib
import platform
import shutil

from tagrec_jax.core import host, versions

GIB = 2**30
MINIMUM_FREE = 1 * GIB  # bytes: a prepared data set and a few checkpoints
ACCELERATORS = {"cuda": "/dev/nvidia0", "tpu": "/dev/accel0"}


@dataclasses.dataclass(frozen=True)
class Finding:
  """One thing that was looked at.

  Attributes:
    what: its name.
    found: what is there.
    wanted: what should be, '' where that is not a matter of values.
    fix: how to mend it, '' where all is well.
    necessary: whether a run fails without it.
  """

  what: str
  found: str
  wanted: str = ""
  fix: str = ""
  necessary: bool = True


def examine(cache: pathlib.Path) -> list[Finding]:
  """Everything, the necessary things first.

  JAX is started only where the packages are fine: the wrong version of one can
  break the import of another.

  Args:
    cache: the folder that prepared data and compiled programs are kept in.

  Raises:
    UserError: tagrec_jax itself is not installed.
  """
  found = packages()
  if not any(finding.fix for finding in found):
    found += devices(cache)
  return [*found, *storage(cache), *extras()]


def packages() -> list[Finding]:
  """What everyone needs; jaxlib is jax's own choice, yet worth seeing."""
  asked = versions.packages()
  if any(package.name == "jax" and package.found for package in asked):
    asked += [p for p in versions.packages("jax") if p.name == "jaxlib"]
  metadata = importlib.metadata.metadata(versions.DISTRIBUTION)
  python = Finding(
    "python", platform.python_version(), metadata["Requires-Python"]
  )
  return [python] + [
    Finding(p.name, p.found or "missing", p.wanted, "" if p.fine else p.fix)
    for p in asked
    if not p.extra
  ]


def extras() -> list[Finding]:
  """One finding for each extra: complete, or what it lacks."""
  lacking: dict[str, list[str]] = {}
  for package in versions.packages():
    if package.extra:
      names = lacking.setdefault(package.extra, [])
      if not package.fine:
        names.append(f"{package.name} {package.wanted}".strip())
  return [
    Finding(
      f"extra {extra}",
      f"lacks {', '.join(names)}" if names else "complete",
      fix=_install(extra) if names else "",
      necessary=False,
    )
    for extra, names in lacking.items()
  ]


def devices(cache: pathlib.Path) -> list[Finding]:
  """The devices JAX computes on, and one it leaves idle."""
  import jax

  try:
    found = jax.devices()
  except RuntimeError as error:
    reason = str(error).splitlines()[0]
    fix = "unset JAX_PLATFORMS, or install the extra of the device"
    return [Finding("devices", reason, "a device", fix)]
  kinds = sorted({device.device_kind for device in found})
  rows = [
    Finding("backend", jax.default_backend()),
    Finding("devices", f"{len(found)} x {', '.join(kinds)}"),
    Finding("compile cache", host.programs_folder(cache) or "off"),
  ]
  for extra, device in ACCELERATORS.items():
    if jax.default_backend() == "cpu" and os.path.exists(device):
      rows.append(
        Finding(device, "idle", "used by JAX", _install(extra), False)
      )
  return rows


def storage(cache: pathlib.Path) -> list[Finding]:
  """Whether prepared data sets can be kept in `cache`, which need not exist."""
  existing = next(p for p in (cache, *cache.parents) if p.exists())
  writable = existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
  free = shutil.disk_usage(existing).free
  fix = "set config.data.cache_dir to a folder with room to write in"
  return [
    Finding(
      "cache folder",
      f"{cache}{'' if writable else ' cannot be written'}",
      "a writable folder",
      "" if writable else fix,
    ),
    Finding(
      "free space",
      f"{free / GIB:.1f} GiB",
      f">={MINIMUM_FREE / GIB:.0f} GiB",
      "" if free >= MINIMUM_FREE else fix,
    ),
  ]


def _install(extra: str) -> str:
  return f'pip install -e ".[{extra}]"'
