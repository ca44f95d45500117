"""Packing loses nothing and wastes little."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagrec_jax.data.packing import Packing, pack


def used(packing: Packing) -> np.ndarray:
  """Tokens in each row."""
  return np.bincount(packing.rows, packing.lengths, packing.num_rows)


@given(st.lists(st.integers(1, 20), max_size=200), st.integers(20, 40))
def test_every_slice_is_in_exactly_one_row_that_holds_it(lengths, row_length):
  lengths = np.array(lengths, np.int64)
  packing = pack(lengths, row_length)
  assert packing.slices.tolist() == list(range(len(lengths)))
  assert packing.lengths.tolist() == lengths.tolist()
  assert not packing.skips.any()
  assert (used(packing) > 0).all()
  assert (used(packing) <= row_length).all()


@given(
  st.lists(st.integers(1, 20), min_size=1, max_size=100),
  st.integers(20, 40),
  st.integers(0, 3),
)
def test_a_number_of_rows_is_kept_and_only_what_finds_no_room_is_cut(
  lengths, row_length, more
):
  lengths = np.array(lengths, np.int64)
  rows = -(-lengths.sum() // row_length) + more
  packing = pack(lengths, row_length, int(rows))
  assert packing.num_rows == rows
  assert (used(packing) <= row_length).all()
  tokens = sorted(
    (number, skip + token)
    for number, skip, length in zip(
      packing.slices, packing.skips, packing.lengths, strict=True
    )
    for token in range(length)
  )
  assert tokens == [
    (number, token)
    for number, length in enumerate(lengths)
    for token in range(length)
  ]
  if rows >= pack(lengths, row_length).num_rows:
    assert len(packing.slices) == len(lengths)


def test_cuts_into_the_largest_gaps():
  packing = pack(np.array([7, 6, 5]), 10, 2)
  assert packing.slices.tolist() == [0, 1, 2, 2]
  assert packing.rows.tolist() == [0, 1, 1, 0]
  assert packing.skips.tolist() == [0, 0, 0, 4]
  assert packing.lengths.tolist() == [7, 6, 4, 1]


def test_wastes_less_than_three_percent_of_realistic_rows():
  random = np.random.default_rng(0)
  lengths = np.minimum(3 + random.geometric(0.2, 20_000), 50)
  packing = pack(lengths, 256)
  assert lengths.sum() / (packing.num_rows * 256) > 0.97


def test_fills_the_fullest_row_that_has_room():
  assert pack(np.array([6, 8, 2, 4]), 10).rows.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("lengths", [[0, 3], [11]])
def test_refuses_slices_that_cannot_be_packed(lengths):
  with pytest.raises(ValueError, match="rows of 10"):
    pack(np.array(lengths), 10)


@pytest.mark.parametrize("rows", [0, 1])
def test_refuses_more_than_the_rows_hold(rows):
  with pytest.raises(ValueError, match=f"14 events, {rows} rows of 10"):
    pack(np.array([6, 8]), 10, rows)
