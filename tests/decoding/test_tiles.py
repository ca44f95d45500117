"""The best and the ranks from tiles, on one device and on many."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from tagrec_jax.decoding import tiles, topk
from tagrec_jax.decoding.tiles import Scored, rows_of
from tagrec_jax.evaluation import protocols, ranking

MESHES = [None, (2, 1), (2, 2), (4, 2)]


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch):
  monkeypatch.setattr(tiles, "TILE", 16)


def mesh_of(shape):
  if shape is None:
    return None
  devices = np.array(jax.devices()[: np.prod(shape)]).reshape(shape)
  return Mesh(devices, ("a", "b"), axis_types=(AxisType.Auto,) * 2)


def scored(query, vectors, bias, mesh=None):
  """The catalogue, filled up and cut for the devices of a mesh."""
  size = len(vectors)
  fill = -size % (mesh.size if mesh else 1)
  vectors = np.pad(vectors, ((0, fill), (0, 0)))
  bias = np.pad(bias, (0, fill), constant_values=-np.inf)
  arrays = (vectors, bias)
  if mesh:
    cut = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    arrays = jax.device_put(arrays, cut)
  return Scored(jnp.asarray(query), *map(jnp.asarray, arrays), size, mesh)


def made(items, interests=1, seen=9, targets=3):
  """Small whole numbers, so that products are exact and ties are many."""
  random = np.random.default_rng(0)
  query = random.integers(-2, 3, (20, interests, 2)).astype(np.float32)
  vectors = random.integers(-2, 3, (items, 2)).astype(np.float32)
  bias = random.choice([-np.inf, np.nan, 0, 0, 1], items).astype(np.float32)
  gone = random.integers(-1, items, (20, seen), np.int32)
  target = random.integers(-2, items + 2, (20, targets), np.int32)
  return (query, vectors, bias), gone, target


@pytest.mark.parametrize(
  ("items", "interests", "k", "shape"),
  [
    (1, 1, 3, (4, 2)),
    (33, 2, 40, (4, 2)),
    (33, 2, 40, None),
    *[(150, 1, 7, shape) for shape in MESHES],
  ],
)
def test_tiles_and_devices_equal_whole_rows(items, interests, k, shape):
  arrays, gone, target = made(items, interests)
  query, vectors, bias = arrays
  whole = rows_of((query @ vectors.T + bias).max(axis=1))
  rows = scored(*arrays, mesh_of(shape))
  for found, wanted in zip(
    tiles.top_k(rows, k, gone),
    topk.top_k(whole.scores_BC, k, jnp.asarray(gone)),
    strict=True,
  ):
    np.testing.assert_array_equal(found, wanted)
  for found, wanted in zip(
    ranking.ranks_and_lists(rows, target, gone, protocols.AS_S3REC, k),
    ranking.ranks_and_lists(whole, target, gone, protocols.AS_S3REC, k),
    strict=True,
  ):
    np.testing.assert_array_equal(found, wanted)
  first = items // 2
  np.testing.assert_array_equal(
    ranking.relevant_ranks(rows, target, first),
    ranking.relevant_ranks(
      rows_of(whole.scores_BC[:, first:]), np.maximum(target - first, -1)
    )
    if first
    else ranking.relevant_ranks(whole, target),
  )


@pytest.mark.parametrize("shape", [None, (4, 2)])
def test_a_rank_tells_the_place_in_the_list(shape):
  """Numbers of all sizes: a score is the same to the last bit in each pass."""
  random = np.random.default_rng(1)
  query = random.normal(size=(64, 1, 24)).astype(np.float32)
  vectors = random.normal(size=(150, 24)).astype(np.float32)
  vectors[75:] = vectors[:75]  # ties
  target = random.integers(0, 150, (64, 1), np.int32)
  rows = scored(query, vectors, np.zeros(150, np.float32), mesh_of(shape))
  none = target[:, :0]
  ranks, lists = ranking.ranks_and_lists(
    rows, target, none, protocols.UNMASKED, 150
  )
  places = (np.asarray(lists) == target).argmax(axis=1) + 1
  np.testing.assert_array_equal(ranks[:, 0], places)


def compiled(items, shape, work):
  mesh = mesh_of(shape)
  split, whole = (None, None)
  if mesh:
    split = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    whole = NamedSharding(mesh, PartitionSpec())
  array = functools.partial(jax.ShapeDtypeStruct, dtype=jnp.float32)
  rows = Scored(
    array((64, 1, 8), sharding=whole),
    array((items, 8), sharding=split),
    array((items,), sharding=split),
    items,
    mesh,
  )
  ids = jax.ShapeDtypeStruct((64, 1), jnp.int32, sharding=whole)
  if work == "top_k":
    return tiles.top_k.lower(rows, 5, ids).compile()
  return ranking.ranks_and_lists.lower(
    rows, ids, ids, protocols.STRICT, 5
  ).compile()


@pytest.mark.parametrize("work", ["top_k", "ranks"])
def test_memory_falls_with_devices_and_holds_no_row(work):
  items = 2**14
  held = {}
  for shape in (None, (4, 2)):
    analysis = compiled(items, shape, work).memory_analysis()
    devices = np.prod(shape) if shape else 1
    catalogue = items // devices * 9 * 4
    held[devices] = analysis.argument_size_in_bytes
    assert held[devices] < catalogue + 10_000
    # A row of scores for each question would take 4 MiB.
    assert analysis.temp_size_in_bytes < 64 * items * 4 / 16
  assert held[8] < held[1] / 7


def test_rows_are_found_without_the_whole_catalogue():
  mesh, size = mesh_of((4, 2)), 2**14
  split = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
  vectors = np.random.default_rng(0).normal(size=(size, 4)).astype(np.float32)
  places = np.array([0, size - 1, 5, -1, 2048, 2047], np.int32)
  look = jax.jit(functools.partial(tiles.rows_at, mesh=mesh))
  held = jax.device_put(vectors, split)
  wanted = np.where(places[:, None] < 0, 0, vectors[places])
  np.testing.assert_array_equal(look(held, places), wanted)
  analysis = look.lower(held, places).compile().memory_analysis()
  assert analysis.temp_size_in_bytes < vectors.nbytes / 16


def test_an_approximate_search_is_exact_on_a_cpu():
  arrays, gone, _ = made(150)
  rows = scored(*arrays)
  wanted, _ = tiles.top_k(rows, 7, gone)
  found, _ = tiles.top_k(rows, 7, gone, 0.5)
  np.testing.assert_array_equal(np.sort(found), np.sort(wanted))
