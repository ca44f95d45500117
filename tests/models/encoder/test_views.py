"""Second views of packed histories."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tagrec_jax.core.axes import BEGIN, UNKNOWN
from tagrec_jax.layers.noise import Noise
from tagrec_jax.models.encoder.views import VIEWS, view

LENGTHS = (10, 7, 1, 30)


def make_batch():
  """Two rows of the same people, with padding; ids tell where they were."""
  segments = np.repeat(np.arange(1, 5), LENGTHS)
  positions = np.concatenate([np.arange(n) for n in LENGTHS])
  ids = 100 * segments + positions
  ids[0] = BEGIN
  pad = lambda x, fill: jnp.asarray(
    np.tile(np.append(x, np.full(4, fill)), (2, 1)), jnp.int32
  )
  return {
    "history_ids": pad(ids, UNKNOWN),
    "history_segments": pad(segments, 0),
    "history_positions": pad(positions, 0),
    "target_ids": pad(ids, UNKNOWN),
  }


@functools.partial(jax.jit, static_argnums=(0, 1))
def seen(names, rate, key):
  return view(make_batch(), names, rate, Noise(key))


def look(name, seed, rate=0.5):
  found = seen((name,), rate, jax.random.key(seed))
  return {key: np.asarray(value) for key, value in found.items()}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_follows_from_its_key_alone(name):
  first, again, other = look(name, 0), look(name, 0), look(name, 1)
  for key in first:
    np.testing.assert_array_equal(first[key], again[key])
  assert (first["history_ids"] != other["history_ids"]).any()


@pytest.mark.parametrize("name", VIEWS)
def test_what_is_asked_stays(name):
  np.testing.assert_array_equal(
    look(name, 0)["target_ids"], make_batch()["target_ids"]
  )


@pytest.mark.parametrize("name", VIEWS)
def test_at_rate_0_nothing_changes(name):
  for key, value in look(name, 0, rate=0.0).items():
    np.testing.assert_array_equal(value, make_batch()[key])


def test_a_mask_hides_a_fraction_but_no_first_event():
  ids = np.stack([look("mask", seed)["history_ids"] for seed in range(40)])
  before = np.asarray(make_batch()["history_ids"])
  hidden = (ids != before).mean(0)
  first = np.asarray(make_batch()["history_positions"]) == 0
  assert (hidden[first] == 0).all()
  np.testing.assert_allclose(hidden[~first].mean(), 0.5, atol=0.03)
  assert set(np.unique(ids[ids != before])) == {UNKNOWN}


@pytest.mark.parametrize("seed", range(5))
def test_a_crop_leaves_newest_events_and_counts_them_anew(seed):
  found, before = look("crop", seed), make_batch()
  for row in range(2):
    for person, length in enumerate(LENGTHS, 1):
      mine = np.asarray(before["history_segments"])[row] == person
      kept = found["history_segments"][row][mine] == person
      count = int(kept.sum())
      assert length / 2 <= count <= length
      assert kept[length - count :].all()
      np.testing.assert_array_equal(
        found["history_positions"][row][mine][kept], np.arange(count)
      )
      gone = found["history_segments"][row][mine][~kept]
      assert (gone == 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_a_new_order_keeps_people_apart_and_begin_first(seed):
  found, before = look("reorder", seed), make_batch()
  for row in range(2):
    assert found["history_ids"][row][0] == BEGIN
    for person, length in enumerate(LENGTHS, 1):
      mine = np.asarray(before["history_segments"])[row] == person
      now = found["history_ids"][row][mine]
      was = np.asarray(before["history_ids"])[row][mine]
      assert set(now) == set(was)
      moved = np.abs(now % 100 - np.arange(length))[now != BEGIN]
      assert moved.max(initial=0) <= length / 2
