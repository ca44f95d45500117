from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.data.vocab import Vocabulary

any_text = st.text(st.characters(exclude_categories=()), max_size=4)


def test_keeps_the_order_it_is_given():
  vocabulary = Vocabulary(["b", "10", "ä", "2", "B"])
  assert vocabulary.ids == ("b", "10", "ä", "2", "B")
  assert [vocabulary.index(id) for id in vocabulary.ids] == [0, 1, 2, 3, 4]


def test_sorted_is_the_order_of_code_points():
  vocabulary = Vocabulary.sorted({"b", "10", "ä", "2", "B"})
  assert vocabulary.ids == ("10", "2", "B", "b", "ä")


def test_extended_moves_no_row():
  vocabulary = Vocabulary(["b", "c"]).extended(["a", "d"])
  assert vocabulary.ids == ("b", "c", "a", "d")
  assert vocabulary.extended([]) == vocabulary
  with pytest.raises(ValueError, match="'c' comes twice"):
    vocabulary.extended(["c"])


def test_ids_stay_strings():
  vocabulary = Vocabulary(["00123", "123"])
  assert len(vocabulary) == 2
  assert vocabulary.index("00123") == 0
  assert vocabulary.index("0123") == UNKNOWN


def test_indices_mark_what_is_not_there():
  found = Vocabulary(["a", "b"]).indices(["b", "x", "a", ""])
  assert found.dtype == np.int32
  np.testing.assert_array_equal(found, [1, UNKNOWN, 0, UNKNOWN])
  assert Vocabulary([]).indices([]).shape == (0,)


def test_an_id_cannot_come_twice():
  with pytest.raises(ValueError, match="'a' comes twice"):
    Vocabulary(["a", "b", "a"])


def test_is_immutable():
  vocabulary = Vocabulary(["a"])
  with pytest.raises(dataclasses.FrozenInstanceError):
    vocabulary.ids = ("b",)


def test_can_be_sent_to_another_process():
  vocabulary = pickle.loads(pickle.dumps(Vocabulary(["b", "a"])))
  assert vocabulary.index("b") == 0


def test_equal_by_ids():
  assert Vocabulary(["a", "b"]) == Vocabulary(("a", "b"))
  assert Vocabulary(["a", "b"]) != Vocabulary(("b", "a"))
  assert Vocabulary(["a"]) != Vocabulary(["b"])


@given(st.sets(any_text, max_size=20))
def test_index_inverts_ids(ids):
  vocabulary = Vocabulary(sorted(ids, reverse=True))
  np.testing.assert_array_equal(
    vocabulary.indices(vocabulary.ids), np.arange(len(ids))
  )
  assert all(id in vocabulary for id in ids)


@given(st.sets(any_text, max_size=6), st.sets(any_text, max_size=6))
def test_fingerprint_tells_vocabularies_apart(a, b):
  same = Vocabulary.sorted(a).fingerprint == Vocabulary.sorted(b).fingerprint
  assert same == (a == b)


def test_fingerprint_does_not_depend_on_hash_randomisation():
  program = (
    "from tagrec_jax.data.vocab import Vocabulary;"
    "print(Vocabulary.sorted({'a', 'b', 'c', 'd'}).fingerprint)"
  )
  seen = {
    subprocess.run(
      [sys.executable, "-c", program],
      env={"PYTHONHASHSEED": seed},
      capture_output=True,
      check=True,
      text=True,
    ).stdout.strip()
    for seed in ("1", "2")
  }
  assert seen == {Vocabulary(["a", "b", "c", "d"]).fingerprint}
