"""Packing loses nothing and wastes little."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagrec_jax.data.packing import pack


@given(st.lists(st.integers(1, 20), max_size=200), st.integers(20, 40))
def test_every_slice_is_in_exactly_one_row_that_holds_it(lengths, row_length):
  lengths = np.array(lengths, np.int64)
  packing = pack(lengths, row_length)
  assert sorted(packing.order) == list(range(len(lengths)))
  for row in range(packing.rows):
    start, end = packing.row_starts[row : row + 2]
    assert 0 < lengths[packing.order[start:end]].sum() <= row_length


def test_wastes_less_than_three_percent_of_realistic_rows():
  random = np.random.default_rng(0)
  lengths = np.minimum(3 + random.geometric(0.2, 20_000), 50)
  packing = pack(lengths, 256)
  assert lengths.sum() / (packing.rows * 256) > 0.97


def test_fills_the_fullest_row_that_has_room():
  packing = pack(np.array([6, 8, 2, 4]), 10)
  rows = np.split(packing.order, packing.row_starts[1:-1])
  assert [sorted(row) for row in rows] == [[0, 3], [1, 2]]


@pytest.mark.parametrize("lengths", [[0, 3], [11]])
def test_refuses_slices_that_cannot_be_packed(lengths):
  with pytest.raises(ValueError, match="rows of 10"):
    pack(np.array(lengths), 10)
