"""The encoder-decoder reads the past of one person and nothing else."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from configs import base
from tagrec_jax.core.axes import BEGIN, UNKNOWN
from tagrec_jax.core.settings import ModelSettings, from_dict
from tagrec_jax.data.spec import Feature, Kind, Part, Spec
from tagrec_jax.layers.noise import Noise
from tagrec_jax.models.encoder.gru import GRUHistory
from tagrec_jax.models.encoder.long_short import LongShortHistory
from tagrec_jax.models.encoder.multi_hot import MultiHotHistory
from tagrec_jax.models.encoder.plain import (
  CategoryVector,
  NumbersVector,
  SetVector,
)
from tagrec_jax.models.encoder.recurrence import LinearHistory
from tagrec_jax.models.encoder.transformer import TransformerHistory
from tagrec_jax.models.recommender import Recommender

ENCODERS = {
  "transformer": TransformerHistory,
  "gru": GRUHistory,
  "multi_hot": MultiHotHistory,
  "linear": LinearHistory,
  "long_short": LongShortHistory,
}
PLAIN = {
  "tags": SetVector,
  "text": SetVector,
  "numbers": NumbersVector,
  "brand": CategoryVector,
}
SPEC = Spec(
  num_items=20,
  num_tags=5,
  features=(
    Feature("tags", Part.PRODUCT, Kind.ID_SET, 5, 3),
    Feature("text", Part.PRODUCT, Kind.TEXT, 9, 4),
    Feature("numbers", Part.PRODUCT, Kind.NUMBER, width=2),
    Feature("brand", Part.PRODUCT, Kind.CATEGORY, 4),
    Feature("hour", Part.MOMENT, Kind.CATEGORY, 24),
    Feature("gender", Part.PERSON, Kind.CATEGORY, 2),
  ),
)
SMALL = dataclasses.replace(
  from_dict(base.get_config().to_dict()).model,
  width=16,
  layers=1,
  hidden=32,
  product=("id", "tags", "text", "numbers", "brand"),
  moment=("hour",),
  person=("gender",),
)
CONTENT = {
  "tags": jnp.tile(jnp.array([[0, 3, UNKNOWN]]), (20, 1)),
  "text": jnp.tile(jnp.array([[1, 2, 8, UNKNOWN]]), (20, 1)),
  "numbers": jnp.tile(jnp.array([[0.5, jnp.nan]]), (20, 1)),
  "brand": jnp.arange(20) % 5 - 1,
}


def make_batch() -> dict[str, jax.Array]:
  """A row of two people and two slots of padding."""
  return {
    "history_ids": jnp.array([[BEGIN, 3, 7, 5, 9, 11, UNKNOWN, UNKNOWN]]),
    "history_segments": jnp.array([[1, 1, 1, 2, 2, 2, 0, 0]]),
    "history_positions": jnp.array([[0, 1, 2, 0, 1, 2, 0, 0]]),
    "moment_hour": jnp.array([[1, 2, 3, 4, 5, -1, -1, -1]]),
    "person_gender": jnp.array([[1, 1, 1, 0, 0, 0, -1, -1]]),
  }


class Model:
  """A small recommender, compiled once; eager NNX would take minutes."""

  def __init__(self, settings: ModelSettings = SMALL, encoder="transformer"):
    def make():
      return Recommender(
        settings,
        SPEC,
        encoders=PLAIN,
        history=ENCODERS[encoder],
        max_positions=8,
        targets=("items", "tags"),
        rngs=nnx.Rngs(params=jax.random.key(0)),
      )

    self.graph, _ = nnx.split(nnx.eval_shape(make))
    self.params = jax.jit(lambda: nnx.to_pure_dict(nnx.state(make())))()
    self._ask = jax.jit(
      lambda params, batch, noise_key: _ask(
        self.of(params), batch, None if noise_key is None else Noise(noise_key)
      )
    )

  def of(self, params) -> Recommender:
    return nnx.merge(self.graph, nnx.State(params))

  def ask(self, batch, noise_key=None):
    return self._ask(self.params, batch, noise_key)


def _ask(model, batch, noise):
  return model(batch, model.products.vectors(CONTENT), noise)


@functools.cache
def model_of(encoder: str) -> Model:
  return Model(encoder=encoder)


def influence(model: Model) -> np.ndarray:
  """[T, S]: how far the query at t depends on the vector read at s."""
  batch = make_batch()

  @jax.jit
  def jacobian(params):
    model_ = model.of(params)
    vectors_CD = model_.products.vectors(CONTENT)
    x_BSD = model_.events(vectors_CD, batch["history_ids"])
    return jax.jacobian(
      lambda x: model_.history(
        x, batch["history_segments"], batch["history_positions"], None
      )
    )(x_BSD)[0, :, :, 0]  # [T, D, S, D]

  return np.abs(jacobian(model.params)).sum((1, 3))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_asking_at_some_positions_answers_as_asking_at_all(encoder):
  model, batch = model_of(encoder), make_batch()
  asked_BT = jnp.array([[5, 2]])

  @jax.jit
  def some(params):
    model_ = model.of(params)
    vectors_CD = model_.products.vectors(CONTENT)
    return model_(batch, vectors_CD, asked_BT=asked_BT)

  every = model.ask(batch)
  for target, query in some(model.params).items():
    np.testing.assert_allclose(
      query.query_BTD, every[target].query_BTD[:, [5, 2]], atol=1e-6
    )


@pytest.mark.parametrize(
  ("encoder", "positions"),
  [
    pytest.param("transformer", "learned", marks=pytest.mark.nightly),
    ("transformer", "rotary"),
    ("gru", "none"),
    ("multi_hot", "none"),
    ("linear", "none"),
    ("long_short", "learned"),
  ],
)
def test_no_question_sees_the_future_or_another_person(encoder, positions):
  settings = dataclasses.replace(SMALL, positions=positions)
  seen = influence(Model(settings, encoder))
  segments = np.array([1, 1, 1, 2, 2, 2])
  allowed = (segments[:, None] == segments[None]) & np.tri(6, dtype=bool)
  assert (seen[:6][:, 6:] == 0).all(), "a question sees padding"
  assert (seen[:6, :6][~allowed] == 0).all()
  assert (seen[:6, :6][allowed] > 0).all()


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_packed_person_gets_the_same_answer_as_alone(encoder):
  model, batch = model_of(encoder), make_batch()
  packed = model.ask(batch)["items"].query_BTD[0, 3:6]
  alone = {name: array[:, 3:6] for name, array in batch.items()}
  np.testing.assert_allclose(
    packed, model.ask(alone)["items"].query_BTD[0], atol=1e-5
  )


def test_multi_hot_is_the_relu_of_a_sum():
  settings = dataclasses.replace(SMALL, product=("id",), moment=(), person=())
  model = Model(settings, "multi_hot")
  table = model.params["products"]["table"]
  query = model.ask(make_batch())["items"].query_BTD[0, 4]
  np.testing.assert_allclose(
    query, np.maximum(table[5] + table[9], 0), atol=1e-5
  )


def test_an_untrained_context_changes_nothing_and_a_missing_one_never_does():
  model, batch = Model(), make_batch()
  missing = batch | {
    "moment_hour": jnp.full((1, 8), UNKNOWN),
    "person_gender": jnp.full((1, 8), UNKNOWN),
  }
  ask = lambda batch: model.ask(batch)["items"].query_BTD
  np.testing.assert_array_equal(ask(batch), ask(missing))
  film = model.params["context"]["film"]
  film["kernel"] = jnp.ones_like(film["kernel"])
  changed = np.abs(ask(batch) - ask(missing))[0].max(-1)
  assert (changed[:6] > 0).all()
  assert (changed[6:] == 0).all()


def test_tied_ranking_uses_the_product_vectors_and_tags_their_own():
  model = model_of("transformer")
  queries = model.ask(make_batch())
  vectors = jax.jit(lambda p: model.of(p).products.vectors(CONTENT))(
    model.params
  )
  np.testing.assert_allclose(queries["items"].vectors_CD, vectors, rtol=1e-6)
  assert queries["tags"].vectors_CD.shape == (5, 16)


def test_cosine_scores_are_at_most_one_over_the_temperature():
  settings = dataclasses.replace(SMALL, score="cosine", temperature=0.1)
  query = Model(settings).ask(make_batch())["items"]
  scores = np.einsum("BTD,CD->BTC", query.query_BTD, query.vectors_CD)
  assert np.abs(scores).max() <= 10 + 1e-3
  np.testing.assert_allclose(
    np.linalg.norm(query.vectors_CD, axis=-1), 1, rtol=1e-4
  )


def test_bfloat16_answers_are_close_to_float32():
  exact = model_of("transformer").ask(make_batch())["items"].query_BTD
  model = Model(dataclasses.replace(SMALL, compute_dtype="bfloat16"))
  rounded = model.ask(make_batch())["items"].query_BTD
  assert rounded.dtype == jnp.bfloat16
  np.testing.assert_allclose(rounded.astype(jnp.float32), exact, atol=0.1)
  dtypes = {leaf.dtype for leaf in jax.tree.leaves(model.params)}
  assert dtypes == {jnp.dtype("float32")}


def test_without_an_id_products_of_the_same_content_are_the_same():
  model = Model(dataclasses.replace(SMALL, product=("tags", "text")))
  vectors = model.ask(make_batch())["items"].vectors_CD
  np.testing.assert_allclose(vectors[0], vectors[7], atol=1e-6)
  assert np.abs(vectors).max() > 0


def test_noise_changes_answers_and_is_repeatable():
  model = model_of("transformer")
  ask = lambda key: model.ask(make_batch(), key)["items"].query_BTD
  first = ask(jax.random.key(0))
  np.testing.assert_array_equal(first, ask(jax.random.key(0)))
  assert np.abs(first - ask(None)).max() > 0.01
