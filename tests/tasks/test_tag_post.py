"""Tags of posts: what is asked, what may be known, and what is learned."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import hetrec_posts
from tagrec_jax import build
from tagrec_jax.core.trees import named_leaves
from tagrec_jax.data.posts import post_question_batches
from tests import layouts
from tests.data.made import BY_HAND, make_posts

LONG = [
  [(p % 3, [p % 4]), (1, [2, 3]), (0, [0, 1]), (2, [3]), (p % 2, [1])]
  for p in range(4)
]


def make_settings(**changes):
  config = hetrec_posts.get_config("tiny")
  config.model.recall = True
  config.model.members = 2
  config.model.dropout = config.model.modality_dropout = 0.0
  config.pipeline.row_length = config.pipeline.max_history = 16
  config.optimizer.name = "sgd"  # Adam would blow rounding up to steps
  config.optimizer.learning_rate = 0.1
  config.optimizer.warmup_steps = 0
  config.update_from_flattened_dict(changes)
  return build.settings(config.to_dict())


def ready_model(settings, dataset, seed=0):
  """The task, with parameters none of which is 0."""
  task = build.model(settings, dataset)
  start = jax.jit(task.init)(jax.random.key(seed))
  leaves, tree = jax.tree.flatten(start)
  draw = np.random.default_rng(seed)
  moved = [x + 0.3 * draw.normal(size=x.shape).astype("f4") for x in leaves]
  return task, jax.tree.unflatten(tree, moved)


def train_batch(settings, dataset, step=0):
  batches = build.train_batches(settings, dataset, (0, 1))
  return jax.tree.map(jnp.asarray, batches(step))


@pytest.mark.parametrize("history", ["transformer", "gru"])
def test_the_loss_is_that_of_the_answers(history):
  """Every token of packed rows, asked alone, gives what the loss adds up."""
  dataset = make_posts([*BY_HAND, *LONG])
  settings = make_settings(
    **{
      "objective.uncopied_weight": 0.0,
      "model.history": history,
      "model.members": 1,
    }
  )
  task, params = ready_model(settings, dataset)
  batch = train_batch(settings, dataset)
  loss = jax.jit(task.losses)(params, batch, jax.random.key(0))["tags"]
  ask = jax.jit(task.scores)
  ready = jax.jit(task.prepare)(params)
  rows, size = batch["target_tags"].shape
  total = 0.0
  for place in range(size):
    last = jnp.full((rows,), place)
    scores = ask(ready, batch | {"last": last})["tags"]
    np.testing.assert_allclose(np.exp(scores).sum(1), 1, rtol=1e-5)
    target = np.asarray(batch["target_tags"][:, place])
    asked = target >= 0
    total -= np.asarray(scores)[asked, target[asked]].sum()
  assert float(loss.weight) == (np.asarray(batch["target_tags"]) >= 0).sum()
  np.testing.assert_allclose(loss.total, total, rtol=1e-5)


def test_only_earlier_posts_of_the_same_person_are_known():
  dataset = make_posts(LONG)
  settings = make_settings()
  task, params = ready_model(settings, dataset)
  batch = train_batch(settings, dataset)
  ready, ask = jax.jit(task.prepare)(params), jax.jit(task.scores)
  rows = len(batch["target_tags"])

  def answer(place, **changed):
    """Of the first row."""
    asked = batch | changed | {"last": jnp.full((rows,), place)}
    return ask(ready, asked)["tags"][0]

  segments = np.asarray(batch["history_segments"])
  posts = np.asarray(batch["history_posts"])
  for place in range(int((segments[0] > 0).sum())):
    before = answer(place)
    for other in range(segments.shape[1]):
      tags = batch["history_tags"]
      changed = tags.at[0, other].set((tags[0, other] + 1) % 4)
      after = answer(place, history_tags=changed)
      known = (
        segments[0, other] == segments[0, place] > 0
        and posts[0, other] < posts[0, place]
      )
      assert known == (np.abs(after - before).max() > 1e-6), (place, other)


def test_a_stranger_and_an_untagged_product_are_answered():
  dataset = make_posts([*BY_HAND, [(2, [0]), (2, []), (3, [1, 0])]])
  settings = make_settings()
  task, params = ready_model(settings, dataset)
  (batch, *_) = post_question_batches(
    dataset, dataset.test, settings.pipeline, batch_people=8, person=("id",)
  )
  batch = jax.tree.map(jnp.asarray, batch)
  ready = jax.jit(task.prepare)(params)
  scores = jax.jit(task.scores)(ready, batch)["tags"]
  assert np.isfinite(scores).all()
  np.testing.assert_allclose(
    np.exp(jax.nn.log_softmax(scores)).sum(1), 1, rtol=1e-5
  )


def test_own_tags_are_weighed_as_base_level_learning_does():
  """With nothing else learned, copies are shares of age^-1/2."""
  dataset = make_posts(
    [[(0, [0]), (1, [1]), (2, [0, 2]), (1, [3]), (0, [2])]] * 2
  )
  settings = make_settings(**{"model.members": 1})
  task = build.model(settings, dataset)
  params = jax.jit(task.init)(jax.random.key(0))
  (batch, *_) = post_question_batches(
    dataset, dataset.test, settings.pipeline, batch_people=2, person=("id",)
  )
  batch = jax.tree.map(jnp.asarray, batch)

  @jax.jit
  def ask(params, batch):
    (member,) = task._model(params).members
    ((vectors, tags),) = task.prepare(params)[1]
    return member(batch, vectors, tags, None, batch["last"][:, None]).copies

  copies = ask(params, batch)
  own = np.exp(np.asarray(copies.log_own_BTS[0, 0]))
  ages = 1000.0 * np.array([4, 3, 2, 2, 1])
  weights = ages**-0.5 / (ages**-0.5).sum()
  np.testing.assert_allclose(own[:5], weights / 3, rtol=1e-5)  # of 3 sources
  assert own[5:].max() < 1e-20
  third = np.exp(copies.log_generated_BT[0, 0])
  np.testing.assert_allclose(third, 1 / 3, rtol=1e-5)


def noisy(*layout):
  settings = make_settings(
    **{"model.dropout": 0.2, "model.modality_dropout": 0.2}
  )
  return layouts.on(settings, *layout)


@pytest.fixture(scope="module")
def dataset():
  return make_posts(LONG * 8)


@pytest.fixture(scope="module")
def wanted(dataset):
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(jax, "local_devices", lambda: jax.devices()[:1])
    return layouts.run(noisy("pmap", "data", 1, 1, 1), dataset, 2)[1:]


@pytest.mark.parametrize(
  "layout",
  [
    ("jit", "fsdp_tensor", 2, 2, 2),
    pytest.param(("pmap", "data", -1, 1, 1), marks=pytest.mark.nightly),
  ],
  ids=lambda layout: "-".join(map(str, layout)),
)
def test_layouts_agree_with_one_device(dataset, wanted, layout):
  live, state, reports = layouts.run(noisy(*layout), dataset, 2)
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
    assert any("people" in name for name in split), split
