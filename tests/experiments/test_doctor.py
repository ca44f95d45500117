from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

from experiments import doctor
from tagrec_jax.core import machine

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_doctor_finds_this_machine_fine(tmp_path):
  done = subprocess.run(
    [sys.executable, "-m", "experiments.doctor", f"--cache_dir={tmp_path}"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=120,
    check=False,
  )
  assert done.returncode == 0, done.stderr + done.stdout
  assert "8 x cpu" in done.stdout
  assert "fine" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize(("necessary", "code"), [(True, 2), (False, 0)])
def test_only_necessary_things_fail(monkeypatch, capsys, necessary, code):
  fix = 'pip install "flax>=0.12"'
  finding = machine.Finding("flax", "0.11", ">=0.12", fix, necessary)
  monkeypatch.setattr(doctor, "_CACHE_DIR", type("Flag", (), {"value": ""}))
  monkeypatch.setattr(machine, "examine", lambda _: [finding])
  with pytest.raises(SystemExit) as stop:
    doctor.main([])
  assert stop.value.code == code
  assert fix in capsys.readouterr().out  # whole, so that it can be copied


def test_nothing_installed_is_one_line(tmp_path):
  (tmp_path / "rich.py").write_text("raise ModuleNotFoundError(name='rich')")
  done = subprocess.run(
    [sys.executable, "-m", "experiments.doctor"],
    cwd=ROOT,
    env={"PYTHONPATH": str(tmp_path)},
    capture_output=True,
    text=True,
    timeout=120,
    check=False,
  )
  assert done.returncode == 2
  assert done.stderr == (
    "ERROR: rich: not installed. "
    "Fix: pip install -e . in the folder of setup.py\n"
  )
