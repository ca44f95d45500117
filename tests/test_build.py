"""Names become objects, and wrong ones are told before JAX starts."""

import dataclasses
import importlib
import pathlib
import subprocess
import sys
import typing

import pytest

from configs import base
from tagrec_jax import build, registries
from tagrec_jax.core import settings as settings_lib
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.registry import Registry
from tagrec_jax.data.spec import Feature, Kind, Part, Spec

CONFIGS = sorted(
  path.stem
  for path in (pathlib.Path(__file__).parents[1] / "configs").glob("*.py")
  if path.stem != "__init__"
)
EXPERIMENTS = [name for name in CONFIGS if name != "base"]


def values(**changes):
  config = base.get_config()
  for name, value in changes.items():
    config.update_from_flattened_dict({name.replace("__", "."): value})
  return config.to_dict()


@pytest.mark.parametrize("variant", ["", "tiny"])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_config_loads(name, variant):
  module = importlib.import_module(f"configs.{name}")
  settings = build.settings(module.get_config(variant).to_dict())
  assert settings.name == name
  if variant == "tiny":
    assert settings.train.steps <= 50


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_config_tells_its_story(name):
  story = importlib.import_module(f"configs.{name}").__doc__
  for word in ("What:", "Source:", "Run:", "Expect:", "Measured:"):
    assert word in story, f"configs/{name}.py does not say '{word}'"


def test_settings_survive_json():
  settings = build.settings(base.get_config().to_dict())
  again = build.settings(settings_lib.to_dict(settings))
  assert again == settings


def test_every_key_of_base_has_a_comment_or_a_range():
  text = (pathlib.Path(__file__).parents[1] / "configs/base.py").read_text()

  def keys(cls):
    for name, hint in typing.get_type_hints(cls).items():
      if dataclasses.is_dataclass(hint):
        yield from (f"{name}.{key}" for key in keys(hint))
      else:
        yield name

  for key in keys(settings_lib.Settings):
    line = f"  {key} = " if "." in key else f"config.{key} = "
    assert line in text, f"configs/base.py does not set {key}"


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"seed": -1}, r"config.seed: found -1, expected 0 to"),
    (
      {"optimizer__learning_rate": float("nan")},
      r"config.optimizer.learning_rate: found nan, expected a finite number",
    ),
    (
      {"pipeline__batch_rows": -8},
      r"config.pipeline.batch_rows: found -8, expected at least 1",
    ),
    (
      {"model__history": "transformers"},
      r"config.model.history: found 'transformers', .*Fix: use 'transformer'",
    ),
    (
      {"data__source": "netflix"},
      r"config.data.source: found 'netflix', expected one of ",
    ),
    (
      {"evaluation__baselines": ("popularty",)},
      r"found 'popularty', .*Fix: use 'popularity'",
    ),
    (
      {"model__width": 65},
      r"config.model.heads: found 2, expected a divisor of .* = 65",
    ),
    (
      {"pipeline__max_history": 500},
      r"config.pipeline.max_history: found 500, expected at most",
    ),
    ({"model__positions": "rotory"}, r"Fix: use 'rotary'"),
    (
      {"objective__items_weight": 0.0},
      r"config.objective: found items_weight = tags_weight = 0",
    ),
    (
      {"train__steps_per_call": 16, "train__steps": 1600},
      r"train.log_every: found 20, expected a multiple of .* Fix: use 16$",
    ),
    (
      {"train__steps_per_call": 20, "checkpoint__save_every": 5},
      r"config.checkpoint.save_every: found 5, .*Fix: use 20$",
    ),
  ],
)
def test_a_wrong_value_is_one_line(changes, message):
  with pytest.raises(UserError, match=message) as error:
    build.settings(values(**changes))
  assert "\n" not in str(error.value)


def test_wrong_keys_and_types_are_told():
  config = values()
  config["model"]["widthh"] = 3
  with pytest.raises(UserError, match="config.model.widthh.*use 'width'"):
    build.settings(config)
  config = values()
  config["train"] = 4
  with pytest.raises(UserError, match="config.train: found 4"):
    build.settings(config)
  config = values()
  del config["model"]["width"]
  with pytest.raises(UserError, match="config.model.width: missing"):
    build.settings(config)
  config = values()
  config["model"]["width"] = True
  with pytest.raises(UserError, match=r"found True \(bool\), expected int"):
    build.settings(config)


def test_every_name_stands_for_something():
  every = [*vars(registries).values(), build.PROTOCOLS]
  tables = [table for table in every if isinstance(table, Registry)]
  assert len(tables) >= 12
  for table in tables:
    for name in table.names:
      assert callable(table[name]) or table is build.PROTOCOLS


def test_a_config_is_checked_without_jax():
  code = (
    "import sys; from tagrec_jax import build; from configs import base;"
    " build.settings(base.get_config().to_dict());"
    " sys.exit('jax' in sys.modules)"
  )
  subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_tags_are_not_asked_of_a_data_set_without_tags():
  settings = build.settings(values(objective__tags_weight=0.5))
  # Tags that people give are not tags of products.
  for tags in (0, 2):
    with pytest.raises(UserError, match=r"found 0.5, but no product has a tag"):
      build.check_features(settings, Spec(3, tags, ()))


def test_a_feature_the_data_does_not_have_is_told():
  settings = build.settings(
    values(data__source="storefront", model__moment=("hour", "wekday"))
  )
  spec = Spec(
    1,
    1,
    tuple(
      Feature(name, Part.MOMENT, Kind.CATEGORY, 3)
      for name in ("hour", "weekday")
    ),
  )
  with pytest.raises(UserError, match="'wekday'.*Fix: use 'weekday'"):
    build.check_features(settings, spec)
