"""Rows are the same whether they lie in memory or in a file."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from tagrec_jax.core.errors import StorageError
from tagrec_jax.data import spill
from tagrec_jax.data.mapped import forget
from tagrec_jax.data.spill import Spill


@hypothesis.given(st.lists(st.lists(st.integers(0, 9), max_size=5)))
def test_rows_come_back_in_order(tmp_path_factory, appended):
  folder = tmp_path_factory.getbasetemp() / "spill"
  every = np.array([row for rows in appended for row in rows], np.int32)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(spill, "PART", 3)
    for in_memory in (0, 16, 10**6):
      rows = Spill(np.int32, folder, in_memory)
      for some in appended:
        rows.append(np.array(some, np.int32))
        # Reading between does not change where rows go.
        rows.read(0, min(len(rows), 1))
      assert len(rows) == len(every)
      parts = list(rows.parts())
      assert all(len(part) <= 3 for part in parts)
      np.testing.assert_array_equal(np.concatenate([every[:0], *parts]), every)
      np.testing.assert_array_equal(rows.read(0, len(every)), every)
      array = rows.array()
      forget(array)
      np.testing.assert_array_equal(array, every)
  assert not folder.exists() or not list(folder.iterdir())


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
  (tmp_path / "file").write_text("")
  rows = Spill(np.int32, tmp_path / "file" / "folder", 0)
  with pytest.raises(
    StorageError, match=r"folder.*cannot be written.*100 byte"
  ):
    rows.append(np.zeros(1, np.int32))
