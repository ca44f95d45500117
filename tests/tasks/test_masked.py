"""A run that fills in hidden events, and what goes on from it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import storefront
from tagrec_jax import build
from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.trees import named_leaves
from tagrec_jax.data.prepare import prepare
from tagrec_jax.data.questions import question_batches
from tagrec_jax.data.sources.storefront import Storefront
from tagrec_jax.layers.noise import Noise
from tagrec_jax.models.encoder import cloze
from tagrec_jax.run.train import train
from tagrec_jax.training.run_folder import RunFolder

KEY = jax.random.key(3)


def make_config(**objective):
  config = storefront.get_config("tiny")
  config.data.shop_people, config.data.shop_items = 60, 40
  config.data.shop_tags, config.data.shop_events = 4, 8
  config.pipeline.row_length, config.pipeline.batch_rows = 32, 2
  config.pipeline.max_history = 16
  config.model.dropout = config.model.context_dropout = 0.0
  config.objective.question = "masked"
  config.objective.masked_rate = 0.4
  config.objective.tags_weight = 0.5
  config.objective.update(objective)
  config.evaluation.baselines = ()
  config.evaluation.bootstrap_samples = 0
  return config


@pytest.fixture(scope="module")
def made():
  """(dataset, model, its parameters, a batch)."""
  settings = build.settings(make_config().to_dict())
  shop = Storefront(people=60, items=40, tags=4, events_per_person=8)
  dataset = prepare(shop, settings.data)
  model = build.model(settings, dataset)
  params = jax.jit(model.init)(jax.random.key(0))
  # Context is without effect at first; a gradient through it should be seen.
  film = params["context"]["film"]
  film["kernel"] = 0.1 * jax.random.normal(KEY, film["kernel"].shape)
  batches = build.train_batches(settings, dataset, (0, 1))
  batch = {name: jnp.asarray(value) for name, value in batches(0).items()}
  return dataset, model, params, batch


def hidden(batch):
  return cloze.hide(batch, 0.4, Noise(jax.random.fold_in(KEY, 3)))


def alone(batch, row, person):
  """The arrays of one person of a row, and nothing else."""
  mine = np.asarray(batch["history_segments"])[row] == person
  return {
    name: value[row : row + 1][:, mine]
    for name, value in batch.items()
    if value.ndim == 2
  }


def test_the_loss_equals_that_of_people_asked_one_by_one(made):
  dataset, model, params, batch = made
  network = model._model(params)
  vectors_CD = network.products.vectors(model._product)
  asked, total, weight = hidden(batch), {"items": 0.0, "tags": 0.0}, 0
  for row, segments in enumerate(np.asarray(batch["history_segments"])):
    for person in set(segments[segments > 0].tolist()):
      mine = alone(asked, row, person)
      queries = network(mine, vectors_CD)
      for place in np.flatnonzero(mine["target_ids"][0] >= 0):
        item = int(mine["target_ids"][0, place])
        tags = dataset.product["tags"][item]
        right = {"items": [item], "tags": tags[tags >= 0].tolist()}
        for target, entries in right.items():
          query = queries[target]
          score_C = np.asarray(query.vectors_CD, np.float64) @ np.asarray(
            query.query_BTD[0, place], np.float64
          ) + np.asarray(query.bias_C, np.float64)
          log_C = score_C - np.log(np.exp(score_C).sum())
          total[target] -= log_C[entries].mean()
        weight += 1
  found = jax.jit(model.losses)(params, batch, KEY)
  assert weight > 10
  for target, wanted in total.items():
    assert found[target].weight == weight
    np.testing.assert_allclose(found[target].total, wanted, rtol=1e-4)


def test_no_question_sees_what_it_asks_or_another_person(made):
  _, model, params, batch = made
  asked = hidden(batch)
  segments = np.asarray(batch["history_segments"])[0]
  targets = np.asarray(asked["target_ids"])[0]
  network = model._model(params)
  vectors_CD = network.products.vectors(model._product)

  @jax.jit
  def seen(place):
    def one(x_BSD):
      bound = model._model(params)
      bound.events = lambda *_: x_BSD
      return (bound.encode(asked, vectors_CD, None)[0, place] ** 2).sum()

    x_BSD = network.events(vectors_CD, asked["history_ids"])
    return jnp.abs(jax.grad(one)(x_BSD)).sum(-1)

  for place in np.flatnonzero(targets >= 0)[:4]:
    found = np.asarray(seen(place))
    mine = segments == segments[place]
    assert (found[0][mine] > 0).all()
    assert (found[0][~mine] == 0).all()
    assert (found[1:] == 0).all()
  # What is hidden is not among what is read.
  assert (np.asarray(asked["history_ids"])[0][targets >= 0] == UNKNOWN).all()


def test_a_question_about_the_next_is_one_about_a_hidden_last(made):
  """Scores of a held-out question against a history written by hand."""
  dataset, model, params, _ = made
  settings = build.settings(make_config().to_dict())
  asked = next(
    question_batches(
      dataset,
      dataset.test,
      settings.pipeline,
      batch_people=4,
      moment=("hour",),
    )
  )
  ready = jax.jit(model.prepare)(params)
  read = ("history_ids", "history_segments", "history_positions", "last")
  batch = {n: jnp.asarray(asked[n]) for n in (*read, "moment_hour")}
  scores = np.asarray(jax.jit(model.scores)(ready, batch)["items"])
  network = model._model(params)
  for row in range(4):
    seen = [i for i in asked["seen_ids"][row].tolist() if i >= 0]
    ids = jnp.array([[*seen, UNKNOWN]])
    by_hand = {
      "history_ids": ids,
      "history_segments": jnp.ones_like(ids),
      "history_positions": jnp.arange(ids.shape[1])[None],
      "moment_hour": jnp.full_like(ids, UNKNOWN)
      .at[0, -1]
      .set(int(asked["moment_hour"][row, asked["last"][row]])),
    }
    query = network(by_hand, ready.vectors_CD)["items"]
    wanted_C = query.query_BTD[0, -1] @ query.vectors_CD.T + query.bias_C
    np.testing.assert_allclose(scores[row], wanted_C, rtol=1e-4, atol=1e-5)


@pytest.mark.nightly
def test_a_run_goes_on_from_one_that_filled_in(tmp_path):
  folders = {}
  for question in ("masked", "next"):
    config = make_config(question=question)
    config.data.cache_dir = str(tmp_path / "cache")
    config.pipeline.batch_rows = 8  # as many as devices
    config.train.steps = config.train.evaluate_every = 4
    config.checkpoint.save_every = 4
    config.train.init_from = str(folders.get("masked", ""))
    folders[question] = tmp_path / question
    outcome = train(build.settings(config.to_dict()), str(folders[question]))
    told = outcome.reports["test"]["items"]["tagrec_jax"].passport["model"]
    assert ("masked" in told) == (question == "masked")
  saved = [RunFolder(f).checkpoints for f in folders.values()]
  assert all(folder.exists() for folder in saved)


@pytest.mark.parametrize(
  ("key", "value"),
  [
    ("model.history", "gru"),
    ("model.interests", 2),
    ("model.decoder", "sequence"),
    ("model.ages", True),
    ("objective.contrast_weight", 0.1),
    ("task", "tag_post"),
  ],
)
def test_contradictions_are_told_in_one_line(key, value):
  config = make_config()
  config.update_from_flattened_dict({key: value})
  with pytest.raises(UserError) as told:
    build.settings(config.to_dict())
  assert "\n" not in str(told.value)
  where = "objective.question" if key == "task" else key
  assert str(told.value).startswith(f"config.{where}:")


def test_both_questions_have_the_same_parameters(made):
  _, _, params, _ = made
  settings = build.settings(make_config(question="next").to_dict())
  shop = Storefront(people=60, items=40, tags=4, events_per_person=8)
  model = build.model(settings, prepare(shop, settings.data))
  shapes = jax.eval_shape(model.init, KEY)
  assert {n: x.shape for n, x in named_leaves(shapes).items()} == {
    n: x.shape for n, x in named_leaves(params).items()
  }
