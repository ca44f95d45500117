"""Weights of a graph: one on paper, others against dense matrices."""

from __future__ import annotations

import numpy as np
import pytest

from tagrec_jax.models.baselines import folkrank
from tests.data.made import make_posts
from tests.models.baselines.test_posts import ASKED, PEOPLE


def test_one_step_on_paper():
  dataset = make_posts([[(0, [0])]], num_items=1, num_tags=1)
  asked = {"events": np.array([0]), "target_ids": np.array([0], np.int32)}
  # Person, product and tag pass half of theirs to each other. The preference
  # is 2, 2 and 1 of 5, so the tag gets .7 (.2 + .2) + .3 · .2.
  got = folkrank.AdaptedPageRank(steps=1).fit(dataset)(asked)
  np.testing.assert_allclose(np.asarray(got), [[0.34]], rtol=1e-6)
  # Without preference all three keep 1/3.
  got = folkrank.FolkRank(steps=1).fit(dataset)(asked)
  np.testing.assert_allclose(np.asarray(got), [[0.34 - 1 / 3]], atol=1e-6)


def dense(dataset):
  """The matrix that passes weight on, by loops, [N, N]."""
  people, items = len(dataset.train_ends), dataset.spec.num_items
  size = people + items + dataset.spec.num_tags
  weights = np.zeros((size, size))
  given = dataset.assignments
  for row in np.flatnonzero(given.trains):
    ends = (
      given.people[row],
      people + given.items[row],
      people + items + given.tags[row],
    )
    for a in ends:
      for b in ends:
        weights[a, b] += a != b
  return weights / np.maximum(weights.sum(axis=0), 1)


def slow(dataset, person, item, damping, steps):
  """Weights of the tags."""
  people, items = len(dataset.train_ends), dataset.spec.num_items
  flow = dense(dataset)
  wanted = np.ones(len(flow))
  if person is not None:
    wanted[person] += people
  if item is not None:
    wanted[people + item] += items
  preference = wanted / wanted.sum()
  weights = preference
  for _ in range(steps):
    weights = damping * flow @ weights + (1 - damping) * preference
  return weights[people + items :]


@pytest.mark.parametrize("steps", [1, 10])
def test_equals_dense_matrices(steps):
  dataset = make_posts(PEOPLE)
  wanted = np.array(
    [
      slow(dataset, person, item, 0.6, steps)
      for person, item in ((0, 0), (0, 1), (2, None), (None, None))
    ]
  )
  ranked = folkrank.AdaptedPageRank(damping=0.6, steps=steps).fit(dataset)
  got = np.asarray(ranked(ASKED))
  np.testing.assert_allclose(got, wanted, rtol=1e-5)

  plain = slow(dataset, None, None, 1.0, steps)
  ranked = folkrank.FolkRank(damping=0.6, steps=steps).fit(dataset)
  got = np.asarray(ranked(ASKED))
  np.testing.assert_allclose(got, wanted - plain, atol=1e-7)


def test_weight_is_neither_made_nor_lost():
  dataset = make_posts(PEOPLE)
  graph = folkrank.Graph.of(dataset)
  passed = np.bincount(graph.sources, graph.flow, minlength=graph.size)
  linked = dense(dataset).sum(axis=0) > 0
  np.testing.assert_allclose(passed, linked, rtol=1e-6)


def test_held_out_posts_are_not_in_the_graph():
  changed = [list(person) for person in PEOPLE]
  changed[0][2:] = [(2, [3, 0, 1]), (2, [3])]
  before = folkrank.Graph.of(make_posts(PEOPLE))
  after = folkrank.Graph.of(make_posts(changed))
  np.testing.assert_array_equal(before.flow, after.flow)
  np.testing.assert_array_equal(before.sources, after.sources)
