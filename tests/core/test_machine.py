from __future__ import annotations

import collections
import dataclasses
import shutil

import jax
import pytest

from tagrec_jax.core import machine, versions

GOOD = versions.Package("jax", ">=0.10", "0.10.2")
OLD = versions.Package("flax", ">=0.12", "0.11")
LACKING = versions.Package("libtpu", "==0.0.42", "", "tpu")


@pytest.fixture
def asked(monkeypatch):
  """Sets what is installed."""

  def put(*packages):
    table = {"tagrec_jax": list(packages), "jax": []}
    monkeypatch.setattr(
      versions, "packages", lambda name="tagrec_jax": table[name]
    )
    monkeypatch.setattr(
      machine.importlib.metadata,
      "metadata",
      lambda _: {"Requires-Python": ">=3.11"},
    )

  return put


def by_name(findings):
  return {finding.what: finding for finding in findings}


def test_a_wrong_version_has_its_fix(asked):
  asked(GOOD, OLD)
  found = by_name(machine.packages())
  assert not found["jax"].fix
  assert found["flax"].fix == 'pip install "flax>=0.12"'
  assert found["flax"].necessary


def test_extras_never_fail_a_machine(asked):
  asked(GOOD, LACKING, dataclasses.replace(GOOD, extra="test"))
  found = by_name(machine.extras())
  assert found["extra tpu"].found == "lacks libtpu ==0.0.42"
  assert found["extra tpu"].fix == 'pip install -e ".[tpu]"'
  assert not found["extra tpu"].necessary
  assert found["extra test"].found == "complete"


def test_jax_starts_only_where_packages_are_fine(asked, monkeypatch, tmp_path):
  asked(GOOD, OLD)
  monkeypatch.setattr(machine, "devices", lambda _: pytest.fail("started"))
  assert machine.examine(tmp_path)


def test_devices_are_counted(tmp_path):
  found = by_name(machine.devices(tmp_path))
  assert found["backend"].found == "cpu"
  assert found["devices"].found == "8 x cpu"


def test_an_idle_accelerator_is_named(monkeypatch, tmp_path):
  device = tmp_path / "nvidia0"
  device.touch()
  monkeypatch.setattr(machine, "ACCELERATORS", {"cuda": str(device)})
  idle = by_name(machine.devices(tmp_path))[str(device)]
  assert idle.fix == 'pip install -e ".[cuda]"'
  assert not idle.necessary


def test_no_device_is_a_finding(monkeypatch, tmp_path):
  def refuse():
    raise RuntimeError("no TPU\nlong trace")

  monkeypatch.setattr(jax, "devices", refuse)
  (finding,) = machine.devices(tmp_path)
  assert finding.found == "no TPU"
  assert finding.fix


def test_a_folder_that_does_not_exist_yet_is_fine(tmp_path):
  found = by_name(machine.storage(tmp_path / "new" / "cache"))
  assert not found["cache folder"].fix


def test_a_file_in_the_way_is_told(tmp_path):
  (tmp_path / "cache").touch()
  found = by_name(machine.storage(tmp_path / "cache"))
  assert "cannot be written" in found["cache folder"].found
  assert "cache_dir" in found["cache folder"].fix


def test_little_space_is_told(tmp_path, monkeypatch):
  usage = collections.namedtuple("usage", "total used free")
  monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(9, 8, 2**29))
  found = by_name(machine.storage(tmp_path))
  assert found["free space"].found == "0.5 GiB"
  assert found["free space"].fix
