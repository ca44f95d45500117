"""A run begins with the parameters of another."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

from configs import storefront
from tagrec_jax import build
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.trees import named_leaves
from tagrec_jax.run import start, trained
from tagrec_jax.run.train import train
from tagrec_jax.training.run_folder import RunFolder


def settings(cache, **model):
  config = storefront.get_config("tiny")
  config.data.cache_dir = str(cache)
  config.data.shop_people = 60
  config.data.shop_items = 40
  config.data.shop_tags = 4
  config.train.steps = 4
  config.train.evaluate_every = 4
  config.evaluation.bootstrap_samples = 0
  config.evaluation.baselines = ()
  config.model.update(model)
  if config.model.decoder == "sequence":
    config.objective.items, config.objective.tags_weight = "softmax", 0.0
  return build.settings(config.to_dict())


@pytest.fixture(scope="module")
def first(tmp_path_factory):
  """(cache, folder) of a run of a few steps."""
  cache, folder = (tmp_path_factory.mktemp(name) for name in ("cache", "first"))
  train(settings(cache), str(folder))
  return cache, folder


def begin(first, folder, **model):
  """(what the recipe begins with, as it would without, the other's)."""
  cache, source = first
  checked = settings(cache, **model)
  dataset = build.dataset(checked)
  task = build.model(checked, dataset)
  recipe = build.recipe(checked, task)
  other = dataclasses.replace(checked.train, init_from=str(source))
  after = start.started(
    recipe, dataclasses.replace(checked, train=other), dataset, folder
  )
  plain = settings(cache)
  saved, _ = trained.restore_params(
    RunFolder(source), build.model(plain, dataset)
  )
  key = jax.random.key(0)
  trees = after.init(key), recipe.init(key), saved
  return [
    {n: np.asarray(leaf) for n, leaf in named_leaves(tree).items()}
    for tree in trees
  ]


def test_all_parameters_of_the_same_model_are_taken(first, tmp_path):
  got, fresh, saved = begin(first, RunFolder(tmp_path))
  assert got.keys() == saved.keys()
  for name in got:
    np.testing.assert_array_equal(got[name], saved[name])
  assert any((fresh[name] != saved[name]).any() for name in got)


def test_what_the_other_has_not_begins_as_it_would_without(first, tmp_path):
  got, fresh, saved = begin(first, RunFolder(tmp_path), layers=2, hidden=24)
  for name in got:
    fits = name in saved and saved[name].shape == got[name].shape
    wanted = saved[name] if fits else fresh[name]
    np.testing.assert_array_equal(got[name], wanted)
  assert any(name not in saved for name in got)


def test_who_writes_products_begins_with_what_read_them(first, tmp_path):
  got, fresh, saved = begin(
    first, RunFolder(tmp_path), decoder="sequence", memory_weight=0.0
  )
  taken = [name for name in got if name in saved]
  assert any(name.startswith("history.") for name in taken)
  for name in got:
    wanted = saved[name] if name in saved else fresh[name]
    np.testing.assert_array_equal(got[name], wanted)
  assert any(name.startswith("codes.") for name in got)


def test_a_run_with_checkpoints_does_not_need_the_other(first, tmp_path):
  cache, source = first
  checked = settings(cache)
  recipe = build.recipe(checked, build.model(checked, build.dataset(checked)))
  nowhere = dataclasses.replace(checked.train, init_from=str(tmp_path))
  checked = dataclasses.replace(checked, train=nowhere)
  dataset = build.dataset(checked)
  same = start.started(recipe, checked, dataset, RunFolder(source))
  assert same is recipe
  with pytest.raises(UserError, match="cannot be read"):
    start.started(recipe, checked, dataset, RunFolder(tmp_path))
