"""Products written by their codes: what is learned and what is found."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import beauty_generative
from tagrec_jax import build
from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.data.prepare import prepare
from tagrec_jax.data.questions import question_batches
from tagrec_jax.data.records import Item
from tagrec_jax.data.sources.storefront import Storefront
from tagrec_jax.data.spec import CODES
from tagrec_jax.models.codes import with_codes
from tagrec_jax.objectives.written import code_loss
from tagrec_jax.run import trained
from tagrec_jax.training.parallel import JitBackend


def make_settings(**changes):
  config = beauty_generative.get_config("tiny")
  config.data.source = "storefront"
  config.model.code_levels, config.model.code_size = 2, 5
  config.model.code_vectors = ("events", "tags")
  config.pipeline.row_length = 32
  config.optimizer.name = "sgd"  # Adam would blow rounding up to steps
  config.optimizer.learning_rate = 0.1
  config.optimizer.warmup_steps = 0
  config.update_from_flattened_dict(changes)
  return build.settings(config.to_dict())


@pytest.fixture(scope="module")
def dataset():
  settings = make_settings()
  shop = Storefront(people=60, items=40, tags=6, events_per_person=10)
  data = dataclasses.replace(settings.data, cold_items=0.1)
  return with_codes(prepare(shop, data), settings.model, settings.seed)


def asked(dataset, settings):
  (batch, *_) = question_batches(
    dataset, dataset.test, settings.pipeline, batch_people=8
  )
  return jax.tree.map(jnp.asarray, batch)


def test_a_beam_as_wide_as_the_catalogue_knows_all_probabilities(dataset):
  """The cached search finds what the whole model says of every product."""
  size = dataset.spec.num_items + dataset.spec.num_new_items
  settings = make_settings(**{"model.beams": size})
  task = build.model(settings, dataset)
  params = jax.jit(task.init)(jax.random.key(0))
  params = jax.tree.map(lambda leaf: 5 * leaf, params)  # sure of something
  batch = asked(dataset, settings)
  ready = task.prepare(params)
  found = jax.jit(task.scores)(ready, batch)["items"]
  np.testing.assert_allclose(np.exp(found - np.log(size)).sum(1), 1, rtol=1e-4)

  @jax.jit
  def log_probability(entry):
    """Of one product, by teacher forcing under the trie of all."""
    model = task._model(params)
    codes_L = task._every_CL[entry]
    shape = (*batch["history_ids"].shape, len(codes_L))
    codes_BTL = jnp.broadcast_to(codes_L[None, None], shape)
    logits = model.logits(batch, ready[1], codes_BTL)
    entries = jnp.broadcast_to(entry, shape[:2])
    may = task._every.before(entries)

    def one(row, last):
      pick = lambda array: array[row, last][None, None]
      return -code_loss(pick(logits), pick(may), codes_L[None, None]).total

    rows = jnp.arange(shape[0])
    return jax.vmap(one)(rows, batch["last"])

  wanted = np.stack([log_probability(c) for c in range(size)], axis=1)
  np.testing.assert_allclose(found - np.log(size), wanted, atol=2e-4)


def test_a_narrow_beam_recommends_what_it_found(dataset):
  settings = make_settings(**{"model.beams": 4})
  task = build.model(settings, dataset)
  params = jax.jit(task.init)(jax.random.key(0))
  batch = asked(dataset, settings)
  found = jax.jit(task.scores)(task.prepare(params), batch)["items"]
  assert (np.isfinite(found).sum(1) == 4).all()
  assert not np.isnan(found).any()


def influence(task, dataset, settings):
  """[T, S]: how the likelihood at t depends on the vector read at s."""
  batches = build.train_batches(settings, dataset, (0, 1))
  batch = jax.tree.map(lambda a: jnp.asarray(a)[:1], batches(0))
  params = jax.jit(task.init)(jax.random.key(0))
  params = jax.tree.map(lambda leaf: 3 * leaf, params)
  _, vectors_CD = task.prepare(params)
  codes_BTL = task._codes_CL[jnp.maximum(batch["target_ids"], 0)]

  @jax.jit
  def jacobian():
    x_BSD = task._model(params).events(vectors_CD, batch["history_ids"])

    def lost(x):
      # Product vectors are read through the events alone.
      model = task._model(params)
      model.events = lambda *_: x
      return model.logits(batch, vectors_CD, codes_BTL).sum((2, 3))[0]

    return jax.jacobian(lost)(x_BSD)[:, 0]

  return np.abs(jacobian()).sum(-1), np.asarray(batch["history_segments"][0])


def test_no_product_is_told_by_the_future_or_by_others(dataset):
  settings = make_settings(**{"model.dropout": 0.0})
  task = build.model(settings, dataset)
  seen, segments = influence(task, dataset, settings)
  there = segments > 0
  assert len(np.unique(segments[there])) > 1
  may = (segments[:, None] == segments[None]) & np.tri(
    len(segments), dtype=bool
  )
  assert (seen[~may] == 0).all()
  assert (seen[may & there[:, None]] > 0).all()


def run(settings, dataset, devices, preset, sizes):
  from tagrec_jax.sharding.mesh import make_mesh

  data, fsdp, tensor = sizes
  sharding = dataclasses.replace(
    settings.sharding, preset=preset, data=data, fsdp=fsdp, tensor=tensor
  )
  recipe = build.recipe(settings, build.model(settings, dataset))
  backend = JitBackend(recipe, make_mesh(sharding, devices), preset)
  batches = build.train_batches(settings, dataset, backend.host_share)
  state = backend.init_state()
  for step in range(2):
    state, report = backend.train_steps(
      state, backend.place_batches([batches(step)])
    )
  return jax.device_get(backend.saved(state).params), backend.fetch(report)


@pytest.mark.nightly
def test_layouts_agree_with_one_device(dataset):
  settings = make_settings()
  one, report = run(settings, dataset, jax.devices()[:1], "data", (1, 1, 1))
  eight, other = run(settings, dataset, jax.devices(), "fsdp_tensor", (2, 2, 2))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
    (one, jax.device_get(report)),
    (eight, jax.device_get(other)),
  )


def test_who_knows_nothing_guesses_evenly_among_what_may_follow(dataset):
  """Codes that lead to no product of training do not compete."""
  settings = make_settings(**{"model.dropout": 0.0})
  task = build.model(settings, dataset)
  batch = build.train_batches(settings, dataset, (0, 1))(0)
  nothing = jax.tree.map(jnp.zeros_like, task.init(jax.random.key(0)))
  found = jax.jit(task.losses)(nothing, batch, jax.random.key(1))["items"]
  codes = dataset.product[CODES][: dataset.spec.num_items]
  total, targets = 0.0, batch["target_ids"][batch["target_ids"] >= 0]
  for target in targets:
    for level in range(codes.shape[1]):
      alike = (codes[:, :level] == codes[target, :level]).all(1)
      total += np.log(len(np.unique(codes[alike, level])))
  np.testing.assert_allclose(found.total, total, rtol=1e-4)
  assert found.weight == len(targets)


def test_new_products_are_not_asked_for_while_training(dataset):
  settings = make_settings(**{"model.dropout": 0.0})
  task = build.model(settings, dataset)
  batches = build.train_batches(settings, dataset, (0, 1))
  batch = jax.tree.map(jnp.asarray, batches(0))
  losses = jax.jit(task.losses)
  params, key = jax.jit(task.init)(jax.random.key(0)), jax.random.key(1)
  whole = losses(params, batch, key)["items"]
  target = batch["target_ids"].at[0, 0].set(dataset.spec.num_items)
  without = losses(params, {**batch, "target_ids": target}, key)["items"]
  assert whole.weight - without.weight == 1
  target = batch["target_ids"].at[0, 0].set(UNKNOWN)
  missing = losses(params, {**batch, "target_ids": target}, key)["items"]
  np.testing.assert_allclose(missing.total, without.total)


def test_a_checkpoint_of_other_codes_is_refused(dataset):
  settings = make_settings()
  kept = trained.identity(settings, dataset, {})
  other = with_codes(dataset, settings.model, seed=1)
  meta = {"step": 1, "tree": {}, **kept.plain()}
  trained.check(meta, dataset)
  with pytest.raises(UserError, match="vocabulary 'codes'") as error:
    trained.check(meta, other)
  assert "\n" not in str(error.value)


def test_a_run_of_codes_is_not_extended(tmp_path):
  settings = make_settings(
    **{
      "data.cache_dir": str(tmp_path),
      "data.shop_people": 60,
      "data.shop_items": 40,
    }
  )
  with pytest.raises(UserError, match="found 'sequence' and products added"):
    build.dataset(settings, items=(Item("new", title="Lamp"),))
