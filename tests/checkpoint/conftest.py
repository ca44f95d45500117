from __future__ import annotations

import shutil

import pytest

from tests.checkpoint.made import make_state, open_


@pytest.fixture(scope="module")
def three(tmp_path_factory):
  """Steps 50, 55 and 60; the best is 50."""
  folder = tmp_path_factory.mktemp("three") / "checkpoints"
  with open_(folder, keep=3) as checkpoints:
    for step, score in ((50, 0.3), (55, None), (60, 0.2)):
      checkpoints.save(step, make_state(step), {"bad": step}, score)
  return folder


@pytest.fixture
def folder(three, tmp_path):
  return shutil.copytree(three, tmp_path / "elsewhere")
