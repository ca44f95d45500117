"""Weight that spreads over the graph of people, products and tags."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy import sparse

from tagrec_jax.data.dataset import Dataset
from tagrec_jax.models.baselines import posts
from tagrec_jax.models.baselines.scorers import Batch


@dataclasses.dataclass(frozen=True)
class Graph:
  """Edges between nodes: people first, then products, then tags.

  Each assignment joins its person, its product and its tag; an edge weighs as
  many assignments as have both of its ends.

  Attributes:
    people, items, tags: how many nodes of each kind.
    sources, targets: int32 [X], both directions of each edge, by target.
    flow: float32 [X], the part of the source's weight that an edge passes on.
  """

  people: int
  items: int
  tags: int
  sources: np.ndarray
  targets: np.ndarray
  flow: np.ndarray

  @classmethod
  def of(cls, dataset: Dataset) -> Graph:
    """The graph of the training posts."""
    given = dataset.assignments
    people, items = len(dataset.train_ends), dataset.spec.num_items
    nodes = [
      first + ids[given.trains]
      for first, ids in (
        (0, given.people),
        (people, given.items),
        (people + items, given.tags),
      )
    ]
    size = people + items + dataset.spec.num_tags
    pairs = [(a, b) for a in range(3) for b in range(3) if a != b]
    ends = (
      np.concatenate([nodes[b] for _, b in pairs]),
      np.concatenate([nodes[a] for a, _ in pairs]),
    )
    weights = sparse.csr_array(
      (np.ones(len(ends[0])), ends), shape=(size, size)
    )
    weights.sum_duplicates()
    degree = np.maximum(weights.sum(axis=0), 1)
    return cls(
      people,
      items,
      dataset.spec.num_tags,
      weights.indices.astype(np.int32),
      np.repeat(np.arange(size), np.diff(weights.indptr)).astype(np.int32),
      (weights.data / degree[weights.indices]).astype(np.float32),
    )

  @property
  def size(self) -> int:
    return self.people + self.items + self.tags


@dataclasses.dataclass(frozen=True)
class AdaptedPageRank:
  """Scores a tag by the weight that flows to it from person and product.

  Weight is spread w ← d · A w + (1 - d) · p, where A passes the weight of each
  node to its neighbours, and p, of sum 1, prefers the person by 1 + people to
  1 and the product by 1 + products to 1.

  Attributes:
    damping: d.
    steps: how often it is spread.

  The values are those of the second paper.

  Source: Hotho, Jäschke, Schmitz and Stumme, 2006, 'Information retrieval in
  folksonomies: search and ranking'; Jäschke, Marinho, Hotho, Schmidt-Thieme
  and Stumme, 2007, 'Tag recommendations in folksonomies'.
  """

  damping: float = 0.7
  steps: int = 10

  def fit(self, dataset: Dataset) -> Spreading:
    graph = Graph.of(dataset)
    nothing_T = np.zeros(graph.tags, np.float32)
    return Spreading(
      graph, self.damping, self.steps, posts.Asked(dataset), nothing_T
    )


@dataclasses.dataclass(frozen=True)
class FolkRank:
  """What `AdaptedPageRank` gives a tag beyond what it has without preference.

  Without any, d is 1: the weight of a node comes to be that of its edges.

  Attributes:
    damping, steps: as there.
  """

  damping: float = 0.7
  steps: int = 10

  def fit(self, dataset: Dataset) -> Spreading:
    graph = Graph.of(dataset)
    start_N1 = np.full((graph.size, 1), 1 / graph.size, np.float32)
    plain_N1 = _spread(
      start_N1, graph.sources, graph.targets, graph.flow, 1.0, self.steps
    )
    plain_T = np.asarray(plain_N1[-graph.tags :, 0])
    return Spreading(
      graph, self.damping, self.steps, posts.Asked(dataset), plain_T
    )


@dataclasses.dataclass(frozen=True)
class Spreading:
  """Answers with weights of tags, less those of no question.

  Attributes:
    asked: tells people and products.
    plain_T: float32, what is taken off.
  """

  graph: Graph
  damping: float
  steps: int
  asked: posts.Asked
  plain_T: np.ndarray

  def __call__(self, batch: Batch) -> Array:
    """Scores float32 [B, T]."""
    graph = self.graph
    weights_NB = _spread(
      self._preference(batch),
      graph.sources,
      graph.targets,
      graph.flow,
      self.damping,
      self.steps,
    )
    return weights_NB[-graph.tags :].T - self.plain_T[None]

  def _preference(self, batch: Batch) -> np.ndarray:
    """p of each question, float32 [N, B]; an unknown end gets no more."""
    graph = self.graph
    wanted_NB = np.ones((graph.size, len(batch["events"])))
    for ids_B, first, count in (
      (self.asked.people(batch), 0, graph.people),
      (self.asked.products(batch), graph.people, graph.items),
    ):
      known = np.flatnonzero(ids_B >= 0)
      wanted_NB[first + ids_B[known], known] += count
    return (wanted_NB / wanted_NB.sum(axis=0)).astype(np.float32)


@functools.partial(jax.jit, static_argnames="steps")
def _spread(
  preference_NB: Float[Array, "N B"],
  sources_X: Int[Array, " X"],
  targets_X: Int[Array, " X"],
  flow_X: Float[Array, " X"],
  damping: float | Float[Array, ""],
  steps: int,
) -> Float[Array, "N B"]:
  """Weights after some steps, from the preference on."""

  def step(_, weights_NB):
    flowing_XB = flow_X[:, None] * weights_NB[sources_X]
    spread_NB = jax.ops.segment_sum(
      flowing_XB,
      targets_X,
      len(preference_NB),
      indices_are_sorted=True,
    )
    return damping * spread_NB + (1 - damping) * preference_NB

  return jax.lax.fori_loop(0, steps, step, jnp.asarray(preference_NB))
