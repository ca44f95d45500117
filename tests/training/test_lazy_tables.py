"""Steps that read and write a few rows of the tables of products."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import quickstart
from tagrec_jax import build
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.rng import named_key
from tagrec_jax.data.prepare import prepare
from tagrec_jax.data.sources.storefront import Storefront
from tagrec_jax.training.rows import long_params, take
from tagrec_jax.training.state import new_state
from tagrec_jax.training.step import make_train_step


def make_settings(**optimizer):
  config = quickstart.get_config("tiny")
  config.model.product = ("id", "tags")
  config.model.moment = config.model.person = ()
  config.model.width, config.model.hidden = 8, 16
  config.model.memory_weight = 0.0
  config.model.tie_products = False
  config.pipeline.batch_rows, config.pipeline.row_length = 8, 8
  config.pipeline.max_history = 8
  config.objective.items, config.objective.negatives = "sampled_softmax", 8
  config.objective.tags_weight = 0.5
  config.optimizer.warmup_steps, config.optimizer.weight_decay = 0, 0.0
  config.optimizer.update(optimizer)
  return build.settings(config.to_dict())


@pytest.fixture(scope="module")
def dataset():
  shop = Storefront(people=60, items=400, tags=4, events_per_person=10)
  return prepare(shop, make_settings().data)


def make_batch(dataset, settings, step=0):
  batches = build.train_batches(settings, dataset, (0, 1))
  return jax.tree.map(jnp.asarray, batches(step))


def test_the_rows_are_those_that_the_losses_read(dataset):
  """The same losses and gradients from all products as from these rows."""
  settings = make_settings()
  model = build.model(settings, dataset)
  recipe = build.recipe(settings, model)
  batch, key = make_batch(dataset, settings), jax.random.key(3)
  params = jax.jit(model.init)(key)
  whole = dataclasses.replace(recipe, rows=None)

  @jax.jit
  def gradients(params):
    def loss(params, recipe):
      rows = recipe.rows and recipe.rows(batch, key, None)
      if rows is not None:
        params = take(long_params(recipe.axes), params, rows)
      sums = recipe.losses(params, batch, key, 0, rows)
      return sum(s.total for s in sums.values())

    return [jax.value_and_grad(loss)(params, r) for r in (recipe, whole)]

  (few, few_grads), (all_of_them, all_grads) = gradients(params)
  np.testing.assert_allclose(few, all_of_them, rtol=1e-5)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
    few_grads,
    all_grads,
  )


def test_rows_are_distinct_and_padded(dataset):
  settings = make_settings()
  model = build.model(settings, dataset)
  batch = make_batch(dataset, settings)
  rows = np.asarray(model.rows(batch, jax.random.key(0)))
  size = dataset.spec.num_items
  real = rows[rows < size]
  assert (np.diff(real) > 0).all()
  assert (rows[len(real) :] == size).all()
  assert len(rows) % 128 == 0
  asked = np.concatenate([batch["history_ids"], batch["target_ids"]], None)
  assert set(asked[asked >= 0]) < set(real)
  assert len(real) <= len(set(asked[asked >= 0])) + 8


def run(settings, dataset, steps=3):
  model = build.model(settings, dataset)
  recipe = build.recipe(settings, model)
  step = jax.jit(make_train_step(recipe))
  state = jax.jit(lambda: new_state(recipe))()
  for number in range(steps):
    batch = make_batch(dataset, settings, number)
    state, report = step(state, batch, named_key(settings.seed, "train"))
  return jax.device_get((state, report))


@pytest.mark.parametrize(
  "name", [pytest.param("sgd", marks=pytest.mark.nightly), "adagrad"]
)
def test_rules_without_a_decay_are_the_same(dataset, name):
  """A row without gradient is left alone by either way."""
  common = {"name": name, "beta1": 0.0, "learning_rate": 0.1}
  (dense, dense_report), (lazy, lazy_report) = (
    run(make_settings(tables=tables, **common), dataset)
    for tables in ("dense", "lazy")
  )
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
    (dense.params, dense_report.sums),
    (lazy.params, lazy_report.sums),
  )


def test_adam_leaves_rows_that_are_not_read_as_they_are(dataset):
  settings = make_settings(name="adamw", tables="lazy", weight_decay=0.1)
  model = build.model(settings, dataset)
  recipe = build.recipe(settings, model)
  step = jax.jit(make_train_step(recipe))
  state = jax.jit(lambda: new_state(recipe))()
  state, _ = step(state, make_batch(dataset, settings, 0), jax.random.key(0))
  before = jax.device_get(state)
  batch = make_batch(dataset, settings, 1)
  after, _ = step(state, batch, jax.random.key(0))
  key = jax.random.fold_in(jax.random.key(0), before.step)
  read = np.zeros(dataset.spec.num_items + 1, bool)
  read[np.asarray(model.rows(batch, key))] = True
  for old, new in zip(
    jax.tree.leaves((before.params, before.opt_state)),
    jax.tree.leaves((after.params, after.opt_state)),
    strict=True,
  ):
    if np.shape(old)[:1] == (dataset.spec.num_items,):
      changed = np.any(old != new, axis=tuple(range(1, old.ndim)))
      assert (changed == read[:-1]).mean() > 0.95
      assert not changed[~read[:-1]].any()


@pytest.mark.parametrize(
  ("kind", "preset", "sizes"),
  [
    ("jit", "fsdp_tensor", (2, 2, 2)),
    pytest.param("pmap", "data", (-1, 1, 1), marks=pytest.mark.nightly),
  ],
)
def test_layouts_agree_with_one_device(dataset, kind, preset, sizes):
  """Also where the table of products is split over devices."""
  settings = make_settings(name="sgd", tables="lazy", learning_rate=0.1)
  wanted, _ = run(settings, dataset)
  axes = dict(zip(("data", "fsdp", "tensor"), sizes, strict=True))
  sharding = dataclasses.replace(
    settings.sharding, backend=kind, preset=preset, **axes
  )
  settings = dataclasses.replace(settings, sharding=sharding)
  recipe = build.recipe(settings, build.model(settings, dataset))
  backend = build.backend(settings, recipe)
  batches = build.train_batches(settings, dataset, backend.host_share)
  state = backend.init_state()
  for number in range(3):
    placed = backend.place_batches([batches(number)])
    state, _ = backend.train_steps(state, placed)
  found = jax.device_get(backend.saved(state))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
    found.params,
    wanted.params,
  )


@pytest.mark.parametrize(
  ("change", "told"),
  [
    ({"objective.items": "softmax"}, "reads all products"),
    ({"optimizer.name": "adafactor"}, "adafactor"),
    ({"optimizer.ema_decay": 0.9}, "ema_decay=0.9"),
  ],
)
def test_what_cannot_be_lazy_is_refused(dataset, change, told):
  settings = make_settings(tables="lazy")
  for key, value in change.items():
    part, name = key.split(".")
    settings = dataclasses.replace(
      settings,
      **{part: dataclasses.replace(getattr(settings, part), **{name: value})},
    )
  with pytest.raises(UserError, match=told):
    build.recipe(settings, build.model(settings, dataset))
