from __future__ import annotations

import importlib.metadata

import pytest

from tagrec_jax.core import versions
from tagrec_jax.core.errors import UserError


@pytest.fixture
def install(tmp_path, monkeypatch):
  """Makes distributions that exist only as metadata, as pip writes it."""
  monkeypatch.syspath_prepend(tmp_path)

  def write(name, version, requires=(), extras=()):
    folder = tmp_path / (name.replace("-", "_") + f"-{version}.dist-info")
    folder.mkdir()
    lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}"]
    lines += [f"Provides-Extra: {extra}" for extra in extras]
    lines += [f"Requires-Dist: {line}" for line in requires]
    (folder / "METADATA").write_text("\n".join(lines) + "\n")
    importlib.invalidate_caches()

  return write


def test_ranges_come_from_the_metadata(install):
  install("toy-right", "1.4")
  install("toy-old", "0.9")
  install(
    "toy", "1", ["toy-right<2,>=1.2", "toy-old>=1", "toy-absent", "toy-right"]
  )
  assert versions.packages("toy") == [
    versions.Package("toy-right", ">=1.2,<2", "1.4"),
    versions.Package("toy-old", ">=1", "0.9"),
    versions.Package("toy-absent", "", ""),
    versions.Package("toy-right", "", "1.4"),
  ]
  assert [p.fine for p in versions.packages("toy")] == [1, 0, 0, 1]


def test_lines_for_other_platforms_do_not_count(install):
  install("toy", "1", ['toy-absent>=1; sys_platform == "amiga"'])
  assert versions.packages("toy") == []


def test_extras_are_listed_under_their_name(install):
  install("toy-base", "3", ['toy-plugin==3.*; extra == "tpu"'], ["tpu"])
  install(
    "toy",
    "1",
    ["toy-base>=3", 'toy-base[tpu]; extra == "fast"'],
    ["fast"],
  )
  assert versions.packages("toy") == [
    versions.Package("toy-base", ">=3", "3"),
    versions.Package("toy-base", "", "3", "fast"),
    versions.Package("toy-plugin", "==3.*", "", "fast"),
  ]


def test_check_names_the_package_its_range_and_the_fix(install):
  install("toy-old", "0.9")
  install("toy", "1", ["toy-old<2,>=1"])
  with pytest.raises(UserError) as error:
    versions.check("toy")
  assert str(error.value) == (
    "toy-old: found 0.9, expected version >=1,<2. "
    'Fix: pip install "toy-old>=1,<2"'
  )


def test_check_asks_for_no_extra(install):
  install("toy", "1", ['toy-absent>=1; extra == "fast"'], ["fast"])
  versions.check("toy")


def test_not_installed_is_told():
  with pytest.raises(UserError, match="toy-absent: not installed"):
    versions.packages("toy-absent")
