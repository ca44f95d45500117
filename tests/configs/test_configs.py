"""Every experiment loads, is valid, and says what it is."""

from __future__ import annotations

import importlib
import json
import pathlib

import pytest

from configs import base
from tagrec_jax import build
from tagrec_jax.core import settings

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMES = sorted(
  ".".join(path.relative_to(ROOT).with_suffix("").parts)
  for path in (ROOT / "configs").rglob("*.py")
  if path.name not in ("__init__.py", "base.py")
)
HEADINGS = ["What", "Source", "Run", "Expect", "Measured"]
experiments = pytest.mark.parametrize("name", NAMES)
variants = pytest.mark.parametrize("variant", ["", "tiny"])


def keys(config) -> set[str]:
  return {
    f"{section}.{key}" if key else section
    for section, value in config.to_dict().items()
    for key in (value if isinstance(value, dict) else [""])
  }


def test_there_are_experiments():
  assert "configs.quickstart" in NAMES


@experiments
@variants
def test_it_is_valid(name, variant):
  config = importlib.import_module(name).get_config(variant)
  checked = build.settings(config.to_dict())
  assert checked.name != "base"


@experiments
@variants
def test_it_adds_no_key(name, variant):
  config = importlib.import_module(name).get_config(variant)
  assert keys(config) == keys(base.get_config())


@experiments
def test_it_is_stored_as_json(name):
  config = importlib.import_module(name).get_config("")
  checked = build.settings(config.to_dict())
  stored = json.dumps(settings.to_dict(checked))
  assert build.settings(json.loads(stored)) == checked


@experiments
def test_tiny_is_smaller(name):
  module = importlib.import_module(name)
  whole, tiny = (
    build.settings(module.get_config(variant).to_dict())
    for variant in ("", "tiny")
  )
  assert tiny.train.steps < whole.train.steps
  assert tiny.train.steps <= 100
  assert tiny.model.width <= whole.model.width


@experiments
def test_it_tells_its_story(name):
  story = importlib.import_module(name).__doc__ or ""
  said = [line.split(":")[0] for line in story.splitlines() if ":" in line]
  told = [word for word in said if word in HEADINGS]
  assert told == HEADINGS
  file = name.replace(".", "/") + ".py"
  assert f"--config={file}" in story
