"""Softmax against a float64 oracle, with both tilings; and its memory."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tagrec_jax.objectives import tiles
from tagrec_jax.objectives.softmax import Softmax
from tagrec_jax.objectives.tiles import Tiling


def softmax_row(smoothing):
  """-Σ wanted · log p, and p - wanted."""

  def row(scores, labels):
    log_p = scores - scores.max()
    log_p -= np.log(np.exp(log_p).sum())
    wanted = np.full(scores.size, smoothing / scores.size)
    wanted[labels] += (1 - smoothing) / labels.size
    return -wanted @ log_p, np.exp(log_p) - wanted

  return row


TILINGS = {
  "few_questions": Tiling(cache_bytes=1, questions=7),
  "all_questions": Tiling(),
  "one_entry": Tiling(cache_bytes=1, most_bytes=1, entries=1),
  "some_entries": Tiling(cache_bytes=500, most_bytes=1, entries=1),
}
tilings = pytest.mark.parametrize("tiling", TILINGS.values(), ids=TILINGS)


@tilings
@settings(max_examples=3, phases=[Phase.generate])
@given(
  shape=st.tuples(*(st.integers(1, n) for n in (3, 7, 5, 40))),
  smoothing=st.sampled_from([0.0, 0.1]),
)
def test_equals_the_oracle(
  tiling, shape, smoothing, make_batch, check_against_oracle
):
  batch = make_batch(*shape)
  check_against_oracle(
    Softmax(smoothing, tiling), softmax_row(smoothing), batch
  )


@tilings
def test_the_loss_alone_is_the_same(tiling, make_batch):
  """Without gradients another path is taken, that does less."""
  batch = make_batch(2, 13, 8, 37)
  objective = Softmax(0.1, tiling)
  alone = jax.jit(objective)(*batch)
  total, _ = jax.jit(jax.value_and_grad(lambda *x: objective(*x).total))(*batch)
  np.testing.assert_allclose(alone.total, total, rtol=1e-6)


@tilings
@pytest.mark.parametrize("scale", [10.0, 200.0])
def test_scores_may_be_too_large_for_exp(
  scale, tiling, make_batch, check_against_oracle
):
  """Scores that might be, and scores of hundreds.

  Of these float32 knows a probability to four digits.
  """
  batch = make_batch(2, 13, 8, 37, scale=scale)
  row = softmax_row(0.1)
  check_against_oracle(Softmax(0.1, tiling), row, batch, rtol=1e-3)


@tilings
def test_products_in_bfloat16_come_close(
  tiling, make_batch, check_against_oracle
):
  batch = make_batch(2, 13, 8, 37, dtype=jnp.bfloat16)
  check_against_oracle(
    Softmax(tiling=tiling),
    softmax_row(0.0),
    batch,
    rtol=0.03,
    atol=0.03,
  )


@tilings
def test_nothing_to_answer_costs_nothing(tiling, make_batch):
  queries, vectors, bias, targets = make_batch(2, 5, 4, 11)
  objective = Softmax(0.1, tiling)

  def total(*inputs):
    loss = objective(*inputs, jnp.full_like(targets, -1))
    return loss.total, loss.weight

  run = jax.value_and_grad(total, argnums=(0, 1, 2), has_aux=True)
  (loss, weight), grads = jax.jit(run)(queries, vectors, bias)
  assert (loss, weight) == (0, 0)
  for grad in grads:
    np.testing.assert_array_equal(grad, 0.0)


def test_padding_changes_nothing(make_batch):
  queries, vectors, bias, targets = make_batch(2, 6, 4, 11)
  objective = Softmax(tiling=TILINGS["few_questions"])
  wide = jnp.pad(queries, ((0, 1), (0, 3), (0, 0)), constant_values=9.0)
  empty = jnp.pad(targets, ((0, 1), (0, 3)), constant_values=-2)

  @jax.jit
  def run(queries, targets):
    return jax.value_and_grad(
      lambda q, v, b: objective(q, v, b, targets).total, argnums=(0, 1, 2)
    )(queries, vectors, bias)

  loss, grads = run(queries, targets)
  padded_loss, padded_grads = run(wide, empty)
  np.testing.assert_allclose(padded_loss, loss, rtol=1e-6)
  np.testing.assert_allclose(padded_grads[0][:2, :6], grads[0], atol=1e-6)
  assert not np.any(padded_grads[0][2:])
  assert not np.any(padded_grads[0][:, 6:])
  for padded, grad in zip(padded_grads[1:], grads[1:], strict=True):
    np.testing.assert_allclose(padded, grad, atol=1e-6)


def temporary_bytes(B, T, D, C, tiling, dtype):
  def total(queries, vectors, bias, targets):
    return Softmax(tiling=tiling)(queries, vectors, bias, targets).total

  compiled = (
    jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2)))
    .lower(
      jax.ShapeDtypeStruct((B, T, D), dtype),
      jax.ShapeDtypeStruct((C, D), jnp.float32),
      jax.ShapeDtypeStruct((C,), jnp.float32),
      jax.ShapeDtypeStruct((B, T), jnp.int32),
    )
    .compile()
  )
  return compiled.memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("catalogue", [3_000, 100_000])
def test_memory_does_not_grow_with_questions_times_catalogue(catalogue, dtype):
  """A few tiles and a few arrays like the inputs, never [B, T, C]."""
  B, D, tile_bytes = 4, 16, 2**20
  tiling = Tiling(cache_bytes=tile_bytes, most_bytes=tile_bytes)
  for T in (64, 256):
    used = temporary_bytes(B, T, D, catalogue, tiling, dtype)
    inputs = 4 * (B * T * (D + 2) + catalogue * (D + 1))
    assert used < 4 * inputs + 4 * tile_bytes
  assert used < B * T * catalogue  # a quarter of all scores


def test_large_catalogues_are_cut_and_small_ones_not(monkeypatch):
  """At the default sizes, for 16 rows of 256 questions."""
  used = []
  for place, name, shape in (
    (tiles, "question_tiles", ()),
    (tiles.catalogue_tiles, "log_sums", (16, 256)),
  ):

    def stub(*_, name=name, shape=shape):
      used.append(name)
      return jnp.zeros(shape)

    monkeypatch.setattr(place, name, stub)

  def run(C):
    used.clear()
    jax.eval_shape(
      Softmax(),
      jax.ShapeDtypeStruct((16, 256, 8), jnp.float32),
      jax.ShapeDtypeStruct((C, 8), jnp.float32),
      jax.ShapeDtypeStruct((C,), jnp.float32),
      jax.ShapeDtypeStruct((16, 256), jnp.int32),
    )
    return used

  assert run(100) == ["question_tiles"]
  assert run(49_000) == ["question_tiles"]
  assert run(50_000) == ["log_sums"]
