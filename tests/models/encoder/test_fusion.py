"""Tokens of all features → one vector."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tagrec_jax.layers.tokens import Tokens
from tagrec_jax.models.encoder.fusion import SumFusion, TransformerFusion
from tests.models.encoder.made import axes_fit, model_settings, rngs


@functools.cache
def fusion() -> TransformerFusion:
  return TransformerFusion(model_settings(fusion_layers=2), 3, rngs())


def fuse(features, module=None):
  graph, params = nnx.split(module or fusion())
  return jax.jit(lambda p, f: nnx.merge(graph, p)(f, None))(params, features)


def tokens(seed: int, there: list[list[bool]]) -> Tokens:
  there_NS = np.array(there)
  values = np.random.default_rng(seed).normal(size=(*there_NS.shape, 16))
  values_NSD = np.where(there_NS[..., None], values, 0).astype(np.float32)
  return Tokens(jnp.asarray(values_NSD), jnp.asarray(there_NS))


FEATURES = [
  tokens(0, [[True], [True]]),
  tokens(1, [[True, True, False], [False, False, False]]),
  tokens(2, [[True, False], [True, True]]),
]


def longer(feature: Tokens) -> Tokens:
  """With padding at its end that holds nonsense."""
  size = feature.values_NSD.shape
  return Tokens(
    jnp.concatenate(
      [feature.values_NSD, 9 + jnp.ones((size[0], 4, size[2]))], 1
    ),
    jnp.pad(feature.there_NS, ((0, 0), (0, 4))),
  )


def test_padding_cannot_change_the_vector():
  plain = fuse(FEATURES)
  padded = fuse([longer(feature) for feature in FEATURES])
  np.testing.assert_allclose(padded, plain, atol=1e-6)
  graph, params = nnx.split(fusion())

  @jax.jit
  def gradients(values):
    def total(values):
      features = [
        Tokens(v, f.there_NS) for v, f in zip(values, FEATURES, strict=True)
      ]
      return (nnx.merge(graph, params)(features, None) ** 3).sum()

    return jax.grad(total)(values)

  found = gradients([feature.values_NSD for feature in FEATURES])
  for gradient, feature in zip(found, FEATURES, strict=True):
    there = np.asarray(feature.there_NS)
    strength = np.abs(gradient).max(-1)
    assert (strength[there] > 0).all()
    assert (strength[~there] == 0).all()


def test_tokens_of_a_feature_have_no_order():
  first, second, third = FEATURES
  turned = Tokens(second.values_NSD[:, ::-1], second.there_NS[:, ::-1])
  np.testing.assert_allclose(
    fuse([first, turned, third]), fuse(FEATURES), atol=1e-6
  )


def test_features_are_told_apart_by_their_kind_alone():
  first, second, third = FEATURES
  swapped = [third, second, first]
  assert np.abs(fuse(swapped) - fuse(FEATURES)).max() > 1e-4
  graph, params = nnx.split(fusion())
  turned = nnx.to_pure_dict(params)
  turned["kinds"] = turned["kinds"][::-1]
  module = nnx.merge(graph, nnx.State(turned))
  np.testing.assert_allclose(fuse(swapped, module), fuse(FEATURES), atol=1e-6)


def test_nothing_known_has_a_vector_of_its_own():
  nothing = [
    Tokens(jnp.zeros_like(f.values_NSD), jnp.zeros_like(f.there_NS))
    for f in FEATURES
  ]
  found = fuse(nothing)
  assert np.isfinite(found).all()
  assert np.abs(found).max() > 0
  np.testing.assert_allclose(found[0], found[1], atol=1e-6)
  np.testing.assert_array_equal(fuse(nothing, SumFusion()), 0)


def test_a_sum_of_means():
  first, second, third = FEATURES
  found = fuse(FEATURES, SumFusion())
  known = second.values_NSD[0, :2].mean(0) + third.values_NSD[0, 0]
  np.testing.assert_allclose(
    found[0], first.values_NSD[0, 0] + known, atol=1e-6
  )
  np.testing.assert_allclose(
    found[1], first.values_NSD[1, 0] + third.values_NSD[1].mean(0), atol=1e-6
  )


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_answers_are_float32_whatever_is_computed_in(positions):
  settings = model_settings(compute_dtype="bfloat16", positions=positions)
  module = TransformerFusion(settings, 3, rngs())
  assert axes_fit(module)
  found = fuse(FEATURES, module)
  assert found.dtype == jnp.float32
  assert found.shape == (2, 16)
