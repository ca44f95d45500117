"""Codes lead to the entries they are of, and nowhere else."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.decoding.beam import beam_search
from tagrec_jax.decoding.trie import Trie

CODES = np.array(
  [[2, 0, 1], [0, 1, 1], [2, 0, 0], [UNKNOWN] * 3, [0, 0, 2], [2, 1, 1]]
)


def test_every_entry_is_found_by_its_codes():
  trie = Trie.of(CODES, 3)
  found = trie.entries(jnp.asarray(CODES))
  assert found.tolist() == [0, 1, 2, UNKNOWN, 4, 5]
  assert trie.children_XK.shape == (7, 3)


def test_only_codes_that_exist_go_on():
  trie = Trie.of(CODES, 3)
  beginnings = jnp.array([[UNKNOWN, UNKNOWN], [2, UNKNOWN], [2, 0], [1, 0]])
  assert trie.after(beginnings).tolist() == [
    [True, False, True],
    [True, True, False],
    [True, True, False],
    [False, False, False],
  ]


def test_what_goes_on_before_each_code_of_an_entry():
  trie = Trie.of(CODES, 3)
  for entry in (0, 1, 2, 4, 5):
    for place in range(3):
      written = np.where(np.arange(3) < place, CODES[entry], UNKNOWN)
      np.testing.assert_array_equal(
        trie.before(jnp.array([entry]))[0, place],
        trie.after(jnp.asarray(written)),
      )


def test_a_beam_as_wide_as_the_catalogue_finds_it_all():
  """A model of no memory: scores of products are sums of those of codes."""
  random = np.random.default_rng(0)
  size = 5
  codes = np.array(list(np.ndindex(size, size, size)))
  codes = codes[np.sort(random.permutation(len(codes))[:40])]
  trie = Trie.of(codes, size)
  table = random.normal(size=(3, size)).astype(np.float32)

  def step(state, tokens_BW, place):
    del tokens_BW
    scores_V = jnp.asarray(table)[place]
    return jnp.broadcast_to(scores_V[None, None], (1, 40, size)), state

  found = beam_search(
    step,
    (),
    rows=1,
    width=40,
    length=3,
    allowed=trie.after,
  )
  entries = trie.entries(found.tokens_BWT)[0]
  assert sorted(entries.tolist()) == list(range(40))
  np.testing.assert_allclose(np.exp(found.scores_BW).sum(), 1, rtol=1e-5)

  def log_probability(entry):
    total = 0.0
    for place, code in enumerate(codes[entry]):
      same = (codes[:, :place] == codes[entry, :place]).all(axis=1)
      known = np.unique(codes[same, place])
      total += table[place, code] - np.log(np.exp(table[place, known]).sum())
    return total

  wanted = np.array([log_probability(e) for e in entries])
  np.testing.assert_allclose(found.scores_BW[0], wanted, rtol=1e-4)
  assert (np.diff(wanted) <= 1e-5).all()


def test_codes_that_cannot_be_told_apart_are_refused():
  with pytest.raises(ValueError, match="2 entries with 1 codes"):
    Trie.of(np.array([[0, 1], [0, 1]]), 2)
  with pytest.raises(ValueError, match="no entry with codes"):
    Trie.of(np.array([[UNKNOWN, UNKNOWN]]), 2)
