"""Product vectors: of what is known, whatever is missing, in any number."""

from __future__ import annotations

import functools
import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.data.spec import Feature, Kind, Part, Spec
from tagrec_jax.layers.noise import Noise
from tagrec_jax.layers.param import logical_axes
from tagrec_jax.models.encoder import product as product_lib
from tagrec_jax.models.encoder.ngrams import NgramBag
from tagrec_jax.models.encoder.plain import (
  CategoryVector,
  NumbersVector,
  SetVector,
)
from tagrec_jax.models.encoder.product import ProductEncoder
from tagrec_jax.models.encoder.text import TransformerText
from tagrec_jax.models.encoder.vector import VectorMap
from tagrec_jax.run.aot import hlo
from tests.models.encoder.made import model_settings, rngs

TRAINED, NEW = 5, 3
FEATURES = (
  Feature("brand", Part.PRODUCT, Kind.CATEGORY, 4),
  Feature("numbers", Part.PRODUCT, Kind.NUMBER, width=2),
  Feature("parts", Part.PRODUCT, Kind.ID_SET, 6, 3),
  Feature("text", Part.PRODUCT, Kind.TEXT, 9, 4),
  Feature("ngrams", Part.PRODUCT, Kind.NGRAMS, 30, 6),
  Feature("pretrained", Part.PRODUCT, Kind.VECTOR, width=3),
)
ENCODERS = {
  "brand": CategoryVector,
  "numbers": NumbersVector,
  "parts": SetVector,
  "text": TransformerText,
  "ngrams": NgramBag,
  "pretrained": VectorMap,
}
MISSING = {
  "brand": UNKNOWN,
  "numbers": np.nan,
  "parts": UNKNOWN,
  "text": UNKNOWN,
  "ngrams": UNKNOWN,
  "pretrained": np.nan,
}
NAMES = tuple(ENCODERS)
SPEC = Spec(TRAINED, 2, FEATURES, num_new_items=NEW)


@functools.cache
def content() -> dict[str, jax.Array]:
  """Of all rows; each feature lacks in another one."""
  random, rows = np.random.default_rng(0), TRAINED + NEW
  made = {
    "brand": random.integers(0, 4, rows, np.int32),
    "numbers": random.normal(size=(rows, 2)).astype(np.float32),
    "parts": random.integers(0, 6, (rows, 3), np.int32),
    "text": random.integers(0, 9, (rows, 4), np.int32),
    "ngrams": random.integers(0, 30, (rows, 6), np.int32),
    "pretrained": random.normal(size=(rows, 3)).astype(np.float32),
  }
  for row, name in enumerate(NAMES):
    made[name][row] = MISSING[name]
  return jax.tree.map(jnp.asarray, made)


class Encoder:
  """A product encoder, compiled."""

  def __init__(self, **changes):
    settings = model_settings(**{"product": ("id", *NAMES)} | changes)

    def make():
      return ProductEncoder(settings, SPEC, ENCODERS, rngs())

    self.graph, state = nnx.split(nnx.eval_shape(make), nnx.Param)
    self.axes = logical_axes(state)
    self.params = jax.jit(
      lambda: nnx.to_pure_dict(nnx.state(make(), nnx.Param))
    )()

  def vectors(self, product, key=None, params=None):
    return self._vectors(params or self.params, product, key)

  @functools.partial(jax.jit, static_argnums=0)
  def _vectors(self, params, product, key):
    noise = None if key is None else Noise(key)
    return self.of(params).vectors(product, noise)

  def of(self, params) -> ProductEncoder:
    return nnx.merge(self.graph, nnx.State(params))


@functools.cache
def encoder_of(fusion: str) -> Encoder:
  return Encoder(fusion=fusion)


@pytest.mark.parametrize("fusion", ["sum", "transformer"])
def test_what_is_missing_adds_nothing(fusion):
  """By gradient: no parameter of a feature serves a product without it."""
  encoder = encoder_of(fusion)
  product = content()

  @jax.jit
  def gradients(params):
    def squares(params, row):
      return (encoder.of(params).vectors(product)[row] ** 2).sum()

    rows = jnp.arange(TRAINED + NEW)
    return jax.vmap(jax.grad(squares), (None, 0))(params, rows)

  found = gradients(encoder.params)
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
  for place, name in enumerate(NAMES):
    for leaf in jax.tree.leaves(found["content"][place]):
      strength = np.abs(leaf.reshape(TRAINED + NEW, -1)).max(-1)
      assert strength[place] == 0, name
    used = functools.reduce(
      operator.add,
      (
        np.abs(leaf.reshape(TRAINED + NEW, -1)).max(-1)
        for leaf in jax.tree.leaves(found["content"][place])
      ),
    )
    assert (np.delete(used, place) > 0).all(), name


@pytest.mark.parametrize("fusion", ["sum", "transformer"])
def test_a_missing_feature_is_a_feature_that_is_not_read(fusion):
  encoder = encoder_of(fusion)
  product = {
    name: jnp.full_like(array, MISSING[name])
    for name, array in content().items()
  }
  alone = encoder.vectors(product)
  other = encoder.vectors(product | {"brand": content()["brand"]})
  np.testing.assert_array_equal(alone[0], other[0])  # has no brand either
  assert (np.abs(alone - other)[1:].max(-1) > 0).all()


@pytest.mark.parametrize("fusion", ["sum", "transformer"])
def test_products_after_the_table_have_no_part_of_their_own(fusion):
  encoder = encoder_of(fusion)
  table = encoder.params["table"]
  assert table.shape[0] == TRAINED
  louder = encoder.params | {"table": 9 * table}
  change = np.abs(
    encoder.vectors(content(), params=louder) - encoder.vectors(content())
  ).max(-1)
  assert (change[:TRAINED] > 1e-3).all()
  assert (change[TRAINED:] == 0).all()


def test_ids_alone_are_their_table():
  encoder = Encoder(product=("id",))
  np.testing.assert_array_equal(encoder.vectors({}), encoder.params["table"])


@pytest.mark.parametrize("fusion", ["sum", "transformer"])
def test_in_parts_as_at_once(fusion, monkeypatch):
  at_once = encoder_of(fusion).vectors(content())
  monkeypatch.setattr(product_lib, "CHUNK", 3)  # the last part is not full
  np.testing.assert_allclose(
    Encoder(fusion=fusion).vectors(content()), at_once, atol=1e-5
  )


def test_devices_encode_their_own_products(monkeypatch):
  """As one device does; they talk before the loop over parts, never in it."""
  encoder = Encoder(product=("id", "parts"))
  product = jax.tree.map(lambda x: jnp.concatenate([x] * 16), content())
  wanted = encoder.vectors(product)
  monkeypatch.setattr(product_lib, "CHUNK", 16)
  mesh = jax.make_mesh(
    (2, 2), ("fsdp", "tensor"), axis_types=(AxisType.Auto,) * 2
  )

  def put(x):
    split = zip(x.shape, ("tensor", "fsdp"), strict=False)
    names = (name if size % 2 == 0 else None for size, name in split)
    return jax.device_put(x, NamedSharding(mesh, PartitionSpec(*names)))

  params = jax.tree.map(put, encoder.params)
  run = jax.jit(lambda params, product: encoder.of(params).vectors(product))
  compiled = run.lower(params, product).compile()
  found = compiled(params, product)
  np.testing.assert_allclose(found, wanted, atol=1e-5)
  assert found.sharding.spec[0] == "tensor"
  talks = hlo.collectives(compiled.as_text(), dict(mesh.shape))
  assert {talk.times for talk in talks} == {1}


def test_modality_dropout_takes_features_off_products():
  """A product without one feature is what any other dropout is without."""
  encoder = Encoder(
    product=("brand", "parts"), modality_dropout=0.5, dropout=0.0
  )
  product = {
    "brand": np.full(400, 2, np.int32),
    "parts": np.tile(np.array([[0, 3, 5]], np.int32), (400, 1)),
  }
  lacking = {
    "both": product,
    "brand": product | {"brand": np.full(400, UNKNOWN, np.int32)},
    "parts": product | {"parts": np.full((400, 3), UNKNOWN, np.int32)},
  }
  kinds = [encoder.vectors(p)[0] for p in lacking.values()]
  kinds.append(np.zeros_like(kinds[0]))
  key = jax.random.key(3)
  found = encoder.vectors(product, key)
  near = np.abs(found[:, None] - np.stack(kinds)[None]).max(-1) < 1e-6
  assert (near.sum(1) == 1).all()
  assert (np.abs(near.mean(0) - 0.25) < 0.07).all()
  np.testing.assert_array_equal(found, encoder.vectors(product, key))


def test_every_parameter_names_its_axes():
  encoder = encoder_of("transformer")
  is_axes = lambda leaf: isinstance(leaf, tuple)
  axes = jax.tree.leaves(encoder.axes, is_leaf=is_axes)
  leaves = jax.tree.leaves(encoder.params)
  assert [len(names) for names in axes] == [leaf.ndim for leaf in leaves]
  assert encoder.axes["table"] == ("products", "embed")
  # What row Adagrad trains, see training/optimizer.py.
  for name in ("brand", "parts", "ngrams"):
    (table, *_) = jax.tree.leaves(
      encoder.axes["content"][NAMES.index(name)], is_leaf=is_axes
    )
    assert table == ("content", "embed"), name
  numbers = encoder.axes["content"][NAMES.index("numbers")]
  assert numbers["curves"]["table"] == ("content", "embed")
