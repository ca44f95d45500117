"""Lookups in tables that devices share, against those of one device."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tagrec_jax.core.settings import ShardingSettings
from tagrec_jax.layers.placing import OF_BATCH, summed, with_place
from tagrec_jax.run.aot import hlo
from tagrec_jax.sharding.mesh import make_mesh
from tagrec_jax.sharding.rules import Places

AXES = ("products", "embed")
V, D, B, T, M = 12, 16, 8, 4, 3


def places(preset, data, fsdp, tensor, sequence=1):
  mesh = make_mesh(
    ShardingSettings(
      backend="jit",
      preset=preset,
      data=data,
      fsdp=fsdp,
      tensor=tensor,
      sequence=sequence,
    )
  )
  return Places(preset, mesh)


@pytest.fixture
def arrays():
  """A table, ids of which some are in no table, shares, and a cotangent."""
  random = np.random.default_rng(0)
  ids = random.integers(-2, V + 2, (B, T, M))
  draw = lambda *shape: jnp.asarray(random.normal(size=shape), jnp.float32)
  return draw(V, D), jnp.asarray(ids), draw(B, T, M), draw(B, T, D)


def plain(table, ids, shares):
  known = (ids >= 0) & (ids < V)
  rows = table[jnp.where(known, ids, 0)]
  return jnp.einsum("BTM,BTMD->BTD", jnp.where(known, shares, 0.0), rows)


def both(function):
  """(what it gives, gradients of the table and of the shares)."""

  def run(table, ids, shares, pull):
    found, back = jax.vjp(lambda t, s: function(t, ids, s), table, shares)
    return found, back(pull)

  return run


@pytest.mark.parametrize(
  ("place", "of"),
  [
    (("fsdp_tensor", 2, 2, 2), OF_BATCH),
    (("fsdp_tensor", 2, 2, 2), ()),
    (("fsdp_tensor_sequence", 1, 2, 2, 2), OF_BATCH),
    (("tensor", 2, 2, 2), OF_BATCH),
  ],
  ids=str,
)
def test_sums_and_gradients_are_those_of_one_device(arrays, place, of):
  place = places(*place)
  function = lambda t, i, s: summed(t, AXES, i, s, of, learned=True)
  found = jax.jit(both(with_place(place, function)))(*arrays)
  wanted = both(plain)(*arrays)
  for got, right in zip(
    jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True
  ):
    np.testing.assert_allclose(got, right, rtol=1e-5, atol=1e-5)
  stored = place.mesh.shape["fsdp"] if place.preset != "tensor" else 1
  table_part = found[1][0].addressable_shards[0].data
  assert table_part.shape == (V // 2, D // stored)


@pytest.mark.parametrize("rows", [6, 7])
def test_rows_that_do_not_divide(arrays, rows):
  """Of a batch: then all devices answer all of it. Of a table: it is whole."""
  table, ids, shares, pull = (x[:rows] for x in arrays)
  place = places("fsdp_tensor", 2, 2, 2)
  function = lambda t, i, s: summed(t, AXES, i, s)
  run = jax.jit(both(with_place(place, function)))
  found = run(table, ids, shares, pull)
  known = jnp.where(ids < rows, ids, -1)
  wanted = both(plain)(table, known, shares, pull)
  np.testing.assert_allclose(found[0], wanted[0], rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(found[1][0], wanted[1][0], rtol=1e-5, atol=1e-5)


def test_vectors_move_and_tables_do_not(arrays):
  """One exchange forth and one back; the table is never whole anywhere."""
  place = places("fsdp", 1, 8, 1)
  function = with_place(place, lambda t, i, s: summed(t, AXES, i, s))
  where = jax.NamedSharding(place.mesh, jax.P(None, "fsdp"))
  rows = jax.NamedSharding(place.mesh, jax.P(("data", "fsdp")))
  run = jax.jit(both(function), in_shardings=(where, rows, rows, rows))
  text = run.lower(*arrays).compile().as_text()
  talks = hlo.collectives(text, dict(place.mesh.shape))
  # Each device has an eighth of the numbers, and an eighth of the questions.
  vectors = B * T * D * 4 // 8
  sizes = [talk.bytes for talk in talks if talk.kind == "all-to-all"]
  assert sizes == [vectors, vectors]
  others = [talk for talk in talks if talk.kind != "all-to-all"]
  assert {talk.kind for talk in others} == {"all-gather"}  # of ids and shares
  assert max(talk.bytes for talk in others) <= B * T * M * 4
  assert f"f32[{V},{D}]" not in text
