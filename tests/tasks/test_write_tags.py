"""Sets of tags that are written: what is learned, found and allowed."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import software
from tagrec_jax import build
from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.data.prepare import prepare
from tagrec_jax.data.products import product_question_batches
from tagrec_jax.data.records import Item
from tagrec_jax.data.sources.storefront import Storefront
from tagrec_jax.decoding.constraints import Constraints
from tagrec_jax.layers.noise import Noise
from tagrec_jax.run.calibration import calibrated
from tagrec_jax.run.measure import Asker
from tagrec_jax.serving.products import ProductTagger
from tagrec_jax.tasks.write_tags import WRITTEN, shuffled


def make_settings(**changes):
  config = software.get_config("tiny")
  config.data.source = "storefront"
  config.data.ngram_buckets, config.data.ngram_width = 256, 16
  config.model.product = ("ngrams", "numbers")
  config.model.decoder = "sequence"
  config.model.beams, config.model.tags_written = 8, 4
  config.objective.tags = "multilabel_softmax"
  config.objective.propensity_weight = 0.0
  config.pipeline.batch_rows = 32
  config.optimizer.learning_rate = 1e-2
  config.optimizer.schedule = "constant"
  config.train.steps = 100
  config.update_from_flattened_dict(changes)
  return build.settings(config.to_dict())


@pytest.fixture(scope="module")
def dataset():
  shop = Storefront(people=60, items=120, tags=6, events_per_person=10)
  return prepare(shop, make_settings().data)


def questions(dataset, settings):
  rows = dataset.test_items
  (batch,) = product_question_batches(
    dataset, rows, features=settings.model.product, batch_products=len(rows) + 1
  )
  return jax.tree.map(jnp.asarray, batch)


@pytest.fixture(scope="module")
def learned(dataset):
  """A task and its parameters after a hundred steps."""
  settings = make_settings(**{"model.dropout": 0.0})
  task = build.model(settings, dataset)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(jax, "devices", lambda: jax.local_devices()[:1])
    backend = build.backend(settings, build.recipe(settings, task))
  batches = build.train_batches(settings, dataset, backend.host_share)
  state, losses = backend.init_state(), []
  for step in range(100):
    batch = backend.place_batches([batches(step)])
    state, report = backend.train_steps(state, batch)
    losses.append(float(backend.fetch(report).sums["loss"].mean()))
  params = jax.tree.map(jnp.asarray, jax.device_get(state.params))
  return settings, task, params, losses


def test_it_learns_to_write_tags_of_products_it_never_saw(dataset, learned):
  """Kinds of product stand in the title; parts of the day cannot be known."""
  settings, task, params, losses = learned
  assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:5])
  batch = questions(dataset, settings)
  found = jax.jit(lambda p, b: task.write(task.prepare(p), b))(params, batch)
  for tokens in found.tokens_BWT[:-1, 0].tolist():
    written = [t for t in tokens if t != UNKNOWN]
    assert len(set(written)) == len(written)
  counts = (np.asarray(found.tokens_BWT[:-1, 0]) != UNKNOWN).sum(1)
  assert np.median(counts) == 2  # as all products of the shop have
  scores = jax.jit(task.scores)(task.prepare(params), batch)["tags"]
  best = np.asarray(scores)[:-1].argmax(1)
  tags = dataset.product["tags"][dataset.test_items]
  assert (tags == best[:, None]).any(1).mean() > 0.7


def test_scores_tell_the_best_set_from_the_rest(dataset, learned):
  settings, task, params, _ = learned
  batch, ready = questions(dataset, settings), task.prepare(params)
  found = task.write(ready, batch)
  answers = task.scores(ready, batch)
  scores = np.asarray(answers["tags"])
  weights = np.exp(np.asarray(found.scores_BW, np.float64))
  np.testing.assert_allclose(answers["probability"], weights[:, 0], rtol=1e-5)
  for row in range(len(scores)):
    best = set(found.tokens_BWT[row, 0].tolist()) - {UNKNOWN}
    assert set(np.flatnonzero(scores[row] > WRITTEN)) == best
    for tag in range(scores.shape[1]):
      holds = (np.asarray(found.tokens_BWT[row]) == tag).any(1)
      share = weights[row][holds].sum() / weights[row].sum()
      wanted = share if tag in best else share - 1
      if not share:
        wanted = -np.inf
      np.testing.assert_allclose(scores[row, tag], wanted, atol=1e-5)


def test_one_beam_has_the_probability_of_what_it_wrote(dataset, learned):
  """The cached search and teacher forcing are one model."""
  settings, task, params, _ = learned
  settings = dataclasses.replace(
    settings, model=dataclasses.replace(settings.model, beams=1)
  )
  task = build.model(settings, dataset)
  batch, ready = questions(dataset, settings), task.prepare(params)
  found = task.write(ready, batch)
  tags_BT = found.tokens_BWT[:, 0]
  logits = task._model(params)(task._product(batch), ready[1], tags_BT)
  for row, tags in enumerate(tags_BT.tolist()):
    total, written = 0.0, []
    for place, scores in enumerate(np.asarray(logits[row], np.float64)):
      scores[written] = -np.inf
      token = tags[place] if tags[place] != UNKNOWN else len(scores) - 1
      total += scores[token] - np.log(np.exp(scores).sum())
      if tags[place] == UNKNOWN:
        break
      written.append(token)
    np.testing.assert_allclose(found.scores_BW[row, 0], total, atol=1e-4)


def test_sets_obey_rules(dataset, learned):
  settings, task, params, _ = learned
  size = dataset.spec.num_tags + dataset.spec.num_new_tags
  groups = np.full(size, UNKNOWN, np.int32)
  groups[:4] = 0
  rules = Constraints(np.arange(size) != 5, groups)
  batch = questions(dataset, settings)
  found = task.under(rules).write(task.prepare(params), batch)
  tokens = np.asarray(found.tokens_BWT)
  assert not (tokens == 5).any()
  assert (((tokens >= 0) & (tokens < 4)).sum(2) <= 1).all()
  assert (task.rules.groups_C == UNKNOWN).all()  # the task itself has none


def test_products_are_answered_with_a_set_and_its_probability(dataset, learned):
  settings, task, params, _ = learned
  scores = Asker(task).of(params)
  rule = calibrated(settings, dataset, scores)
  assert calibrated(settings, dataset, scores, "valid") is None
  tagger = ProductTagger(scores, dataset, settings, chosen=rule.chosen)
  title = dataset.titles[int(dataset.test_items[0])]
  (answer,) = tagger.answer([Item("new", title=title)], k=6)
  assert 0 < answer["probability"] <= 1
  assert answer["tags"]
  assert all(tag["score"] > 0 for tag in answer["tags"])


def test_orders_are_drawn_and_padding_goes_to_the_end():
  ids = jnp.tile(jnp.array([[3, UNKNOWN, 5, 7]]), (64, 1))
  found = np.asarray(shuffled(ids, Noise(jax.random.key(0))))
  assert (found[:, 3] == UNKNOWN).all()
  assert (np.sort(found[:, :3]) == [3, 5, 7]).all()
  assert len({tuple(row) for row in found.tolist()}) == 6


@pytest.mark.parametrize(
  ("key", "value"),
  [
    ("model.members", 3),
    ("objective.tags", "asymmetric"),
    ("objective.propensity_weight", 0.2),
  ],
)
def test_what_has_no_effect_on_written_tags_is_refused(key, value):
  with pytest.raises(UserError, match=f"config.{key}: found") as error:
    make_settings(**{key: value})
  assert "\n" not in str(error.value)
