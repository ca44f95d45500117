"""Tags of products: what is learned, in every layout, after every stop."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import software
from tagrec_jax import build
from tagrec_jax.checkpoint.manager import Checkpoints
from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.trees import named_leaves
from tagrec_jax.data.extend import extend
from tagrec_jax.data.prepare import prepare
from tagrec_jax.data.products import product_question_batches
from tagrec_jax.data.records import Item
from tagrec_jax.data.sources.storefront import Storefront
from tagrec_jax.run.trained import identity
from tagrec_jax.training.loop import train
from tests import layouts


def make_settings(ngrams=0.05, **model):
  config = software.get_config("tiny")
  config.data.source = "storefront"
  config.data.cold_tags = 0.2
  config.data.ngram_buckets, config.data.ngram_width = 256, 16
  config.model.product = ("ngrams", "numbers")
  config.model.tag_vectors = "both"
  config.model.modality_dropout = 0.2
  config.model.update(model)
  config.pipeline.batch_rows = 16
  config.optimizer.name = "sgd"  # Adam would blow rounding up to steps
  config.optimizer.learning_rate = 0.1
  config.optimizer.content_learning_rate = ngrams
  config.optimizer.warmup_steps = 0
  config.train.steps = 6
  config.train.evaluate_every = config.train.log_every = 3
  return build.settings(config.to_dict())


@pytest.fixture(scope="module")
def dataset():
  shop = Storefront(people=60, items=80, tags=6, events_per_person=10)
  made = prepare(shop, make_settings().data)
  assert made.spec.num_new_tags
  return made


@pytest.fixture(scope="module")
def wanted(dataset):
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(jax, "local_devices", lambda: jax.devices()[:1])
    settings = layouts.on(make_settings(0.0), "pmap", "data", 1, 1, 1)
    return layouts.run(settings, dataset, 2)[1:]


@pytest.mark.parametrize(
  "layout",
  [
    ("jit", "fsdp_tensor", 2, 2, 2),
    ("pmap", "data", -1, 1, 1),
    pytest.param(("jit", "data", 8, 1, 1), marks=pytest.mark.nightly),
    pytest.param(("jit", "fsdp", 2, 4, 1), marks=pytest.mark.nightly),
  ],
  ids=lambda layout: "-".join(map(str, layout)),
)
def test_layouts_agree_with_one_device(dataset, wanted, layout):
  live, state, reports = layouts.run(
    layouts.on(make_settings(0.0), *layout), dataset, 2
  )
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5),
    jax.device_get((state.params, state.opt_state, reports)),
    jax.device_get((wanted[0].params, wanted[0].opt_state, wanted[1])),
  )
  if layout[1] == "fsdp_tensor":
    split = [
      name
      for name, leaf in named_leaves(live.params).items()
      if leaf.addressable_shards[0].data.size < leaf.size
    ]
    assert len(split) > 5, split


class Killed(Exception):
  pass


def test_killed_it_ends_the_same(dataset, tmp_path):
  settings = layouts.on(make_settings(), "jit", "data", 1, 1, 1)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(jax, "devices", lambda: jax.local_devices()[:1])
    backend = build.backend(
      settings, build.recipe(settings, build.model(settings, dataset))
    )
  batches = build.train_batches(settings, dataset, backend.host_share)

  def go(folder, make):
    with Checkpoints(folder, 2, identity(settings, dataset, {})) as kept:
      return train(
        backend, make, settings.train, save_every=2, checkpoints=kept
      ).state

  def dying(step):
    if step == 5:
      raise Killed
    return batches(step)

  whole = go(tmp_path / "whole", batches)
  with pytest.raises(Killed):
    go(tmp_path / "killed", dying)
  jax.tree.map(
    np.testing.assert_array_equal, go(tmp_path / "killed", batches), whole
  )


def questions(dataset, settings, rows):
  (batch,) = product_question_batches(
    dataset,
    rows,
    features=settings.model.product,
    batch_products=len(rows) + 1,
  )
  return jax.tree.map(jnp.asarray, batch)


def test_new_tags_have_scores_where_tags_are_made_of_text(dataset):
  spec, rows = dataset.spec, dataset.test_items
  for vectors, size in (
    ("learned", spec.num_tags),
    ("text", spec.num_tags + spec.num_new_tags),
  ):
    settings = make_settings(tag_vectors=vectors)
    task = build.model(settings, dataset)
    batch = questions(dataset, settings, rows)
    params = jax.jit(task.init)(jax.random.key(0))
    found = jax.jit(lambda p, b, t=task: t.scores(t.prepare(p), b))(
      params, batch
    )
    assert found["tags"].shape == (len(rows) + 1, size)
    assert np.isfinite(found["tags"]).all()


def test_rows_that_fill_up_and_new_tags_are_no_answers(dataset):
  settings = make_settings(modality_dropout=0.0, dropout=0.0, tag_dropout=0.0)
  task = build.model(settings, dataset)
  batch = questions(dataset, settings, dataset.test_items)
  batch = {
    **batch,
    "target_tags": jnp.where(
      batch["target_tags"] < dataset.spec.num_tags,
      batch["target_tags"],
      UNKNOWN,
    ),
  }
  params = jax.jit(task.init)(jax.random.key(0))
  losses = jax.jit(task.losses)
  key = jax.random.key(1)
  found = losses(params, batch, key)["tags"]
  shorter = {name: array[:-1] for name, array in batch.items()}
  alone = losses(params, shorter, key)["tags"]
  assert found.weight == alone.weight == len(dataset.test_items)
  np.testing.assert_allclose(found.total, alone.total, rtol=1e-6)


def test_it_learns_tags_of_products_it_never_saw(dataset):
  """Kinds of product stand in the title; parts of the day cannot be known."""
  settings = make_settings(tag_vectors="learned")
  settings = dataclasses.replace(
    settings, train=dataclasses.replace(settings.train, steps=80)
  )
  state, _, reports = layouts.run(settings, dataset, 80)
  losses = [float(r.sums["loss"].mean()) for r in reports]
  assert np.mean(losses[-8:]) < 0.6 * np.mean(losses[:8])
  rows = np.concatenate([dataset.valid_items, dataset.test_items])
  task = build.model(settings, dataset)
  batch = questions(dataset, settings, rows)
  params = jax.tree.map(jnp.asarray, jax.device_get(state.params))
  ready = task.prepare(params)
  found = np.asarray(jax.jit(task.scores)(ready, batch)["tags"])[:-1]
  best = found.argmax(1)
  right = (dataset.product["tags"][rows] == best[:, None]).any(1)
  assert right.mean() > 0.7


def test_products_vote_unless_they_are_asked_about(dataset):
  """What is held out says nothing; what training had does."""
  settings = make_settings(neighbours=5, neighbour_temperature=0.1)
  rows, tags = dataset.test_items, dataset.product["tags"]
  asked = np.concatenate([dataset.valid_items, rows])
  batch = questions(dataset, settings, rows)
  params = jax.jit(build.model(settings, dataset).init)(jax.random.key(0))

  def answers(changed):
    product = dataset.product | {"tags": changed}
    task = build.model(settings, dataclasses.replace(dataset, product=product))
    ask = jax.jit(lambda p, b: task.scores(task.prepare(p), b)["tags"])
    return np.asarray(ask(params, batch))

  found = answers(tags)
  held_out, trained = np.array(tags), np.array(tags)
  held_out[asked] = 0
  trained[: dataset.spec.num_items] = UNKNOWN
  trained[: dataset.spec.num_items, 0] = 1
  np.testing.assert_array_equal(answers(held_out), found)
  assert (answers(trained)[:-1].argmax(1) == 1).all()
  assert not (found[:-1].argmax(1) == 1).all()


def test_a_tag_that_came_with_an_added_product_is_found(dataset):
  settings = make_settings(neighbours=1)
  title = f"{dataset.titles[0]} {dataset.titles[1]}"
  added = Item("later", title=title, tags=("percussion",))
  extended = extend(dataset, [added], [])
  row = extended.items.indices(["later"])
  tag = extended.all_tags.indices(["percussion"])[0]
  assert tag >= extended.spec.num_tags
  task = build.model(settings, extended)
  batch = questions(extended, settings, row)
  params = jax.jit(task.init)(jax.random.key(0))
  found = jax.jit(lambda p, b: task.scores(task.prepare(p), b)["tags"])(
    params, batch
  )
  assert found[0].argmax() == tag
