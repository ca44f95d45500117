"""Which packages are installed, against what the package's metadata asks for.

The ranges stand once, in setup.py; installing writes them into the metadata
that is read here.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Iterator

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tagrec_jax.core.errors import UserError

DISTRIBUTION = "tagrec_jax"


@dataclasses.dataclass(frozen=True)
class Package:
  """One package asked for, and what was found of it.

  Attributes:
    name: as pip knows it.
    wanted: the range, such as '>=0.12.8,<0.13'; '' where any version will do.
    found: the installed version, '' where it is not installed.
    extra: the extra that asks for it, '' where everyone needs it.
  """

  name: str
  wanted: str
  found: str
  extra: str = ""

  @property
  def fine(self) -> bool:
    allowed = SpecifierSet(self.wanted)
    return bool(self.found) and allowed.contains(self.found, prereleases=True)

  @property
  def fix(self) -> str:
    """The command that mends it."""
    return f'pip install "{self.name}{self.wanted}"'


def packages(distribution: str = DISTRIBUTION) -> list[Package]:
  """Every package asked for on this platform, the extras' after the others.

  Raises:
    UserError: the distribution itself is not installed.
  """
  try:
    metadata = importlib.metadata.metadata(distribution)
  except importlib.metadata.PackageNotFoundError:
    raise UserError(
      distribution,
      "not installed",
      "its metadata, which names the versions it needs",
      "pip install -e . in the folder of setup.py",
    ) from None
  extras = ["", *(metadata.get_all("Provides-Extra") or [])]
  return [found for extra in extras for found in _asked(distribution, extra)]


def check(distribution: str = DISTRIBUTION) -> None:
  """Stops before a wrong version can break something that is harder to read.

  Raises:
    UserError: naming the first wrong package, its range and the fix.
  """
  for package in packages(distribution):
    if not package.extra and not package.fine:
      raise UserError(
        package.name,
        f"found {package.found or 'nothing'}",
        f"version {package.wanted}",
        package.fix,
      )


def _asked(distribution: str, extra: str) -> Iterator[Package]:
  """The packages of one extra; 'jax[tpu]' also asks for jax's own extra."""
  for line in importlib.metadata.requires(distribution) or []:
    requirement = Requirement(line)
    if not _applies(requirement.marker, extra):
      continue
    found = _version(requirement.name)
    # A set of limits has no order: the lower one is read first.
    limits = sorted(map(str, requirement.specifier), reverse=True)
    yield Package(requirement.name, ",".join(limits), found, extra)
    if found:
      for option in sorted(requirement.extras):
        for package in _asked(requirement.name, option):
          yield dataclasses.replace(package, extra=extra)


def _applies(marker: Marker | None, extra: str) -> bool:
  """Whether a line belongs to this extra; '' stands for what all need."""
  if marker is None:
    return not extra
  for_all = marker.evaluate({"extra": ""})
  if not extra:
    return for_all
  return not for_all and marker.evaluate({"extra": extra})


def _version(name: str) -> str:
  try:
    return importlib.metadata.version(name)
  except importlib.metadata.PackageNotFoundError:
    return ""
