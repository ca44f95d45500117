"""The loss of answers that are generated or copied."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tagrec_jax.objectives.copying import CopySoftmax, mixed_scores
from tagrec_jax.objectives.tiles import Tiling

TINY = Tiling(cache_bytes=64, most_bytes=64, questions=2, entries=3)


def made(seed=0, B=2, T=5, D=4, C=11):
  draw = np.random.default_rng(seed)
  targets = draw.integers(0, C, (B, T))
  targets[0, 1] = -1
  return (
    jnp.asarray(draw.normal(size=(B, T, D)), jnp.float32),
    jnp.asarray(draw.normal(size=(C, D)), jnp.float32),
    jnp.asarray(draw.normal(size=C), jnp.float32),
    jnp.asarray(np.log(draw.uniform(0.1, 0.9, (B, T))), jnp.float32),
    jnp.asarray(np.log(draw.uniform(0.0, 0.1, (B, T))), jnp.float32),
    jnp.asarray(targets, jnp.int32),
  )


def dense(queries, vectors, bias, log_generated, log_copied, targets, weight):
  scores = jnp.einsum("BTD,CD->BTC", queries, vectors) + bias[None, None]
  at = jnp.maximum(targets, 0)[..., None]
  own = jnp.take_along_axis(jax.nn.softmax(scores), at, axis=2)[..., 0]
  both = jnp.exp(log_generated) * own + jnp.exp(log_copied)
  loss = -jnp.log(both) - weight * jnp.log(own)
  return jnp.where(targets >= 0, loss, 0.0).sum()


@pytest.mark.parametrize("weight", [0.0, 1.5])
@pytest.mark.parametrize("tiling", [TINY, Tiling()], ids=["tiny", "default"])
def test_it_is_the_loss_of_the_mixture(weight, tiling):
  *inputs, targets = made()
  objective = CopySoftmax(weight, tiling)
  places = tuple(range(len(inputs)))
  got, slopes = jax.value_and_grad(
    lambda *x: objective(*x, targets).total, argnums=places
  )(*inputs)
  want, wanted = jax.value_and_grad(
    lambda *x: dense(*x, targets, weight), argnums=places
  )(*inputs)
  np.testing.assert_allclose(got, want, rtol=1e-5)
  for one, other in zip(slopes, wanted, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
  assert objective(*inputs, targets).weight == 9


def test_what_cannot_be_copied_has_a_finite_gradient():
  queries, vectors, bias, log_generated, _, targets = made()
  never = jnp.full_like(log_generated, -1e30)
  loss, slope = jax.value_and_grad(
    lambda x: (
      CopySoftmax(0.0)(x, vectors, bias, log_generated, never, targets).total
    )
  )(queries)
  assert np.isfinite(loss)
  assert np.isfinite(slope).all()
  assert np.abs(slope).max() > 0


def test_scores_are_logs_of_the_mixture():
  scores = jnp.log(jnp.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]]))
  got = mixed_scores(
    scores,
    jnp.log(jnp.array([0.4, 1.0])),
    jnp.array([[2, 0, 2, -1], [-1, -1, -1, -1]]),
    jnp.log(jnp.array([[0.1, 0.2, 0.3, 1e-30], [1e-30] * 4])),
  )
  np.testing.assert_allclose(
    np.exp(got), [[0.4, 0.1, 0.5], [0.1, 0.2, 0.7]], rtol=1e-6
  )
