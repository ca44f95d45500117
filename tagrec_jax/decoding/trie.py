"""Sequences that stand for entries of a catalogue, and no others."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from tagrec_jax.core.axes import UNKNOWN


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Trie:
  """All codes of a catalogue, each of L tokens, as a tree in one table.

  Attributes:
    children_XK: int32, the node reached from each of X nodes by each of K
      tokens, UNKNOWN where no codes go on so. Node 0 is the root; of nodes
      before the last token the children are the entries themselves.
    paths_CL: int32, the nodes before each token of an entry's codes; UNKNOWN
      for entries without codes.
  """

  children_XK: Int[Array, "X K"]
  paths_CL: Int[Array, "C L"]

  @classmethod
  def of(cls, codes_CL: np.ndarray, size: int) -> Trie:
    """The tree of codes int [C, L], UNKNOWN for entries that have none.

    Args:
      size: K, more than the largest code.

    Raises:
      ValueError: if two entries have the same codes, or none has any.
    """
    coded = np.flatnonzero((codes_CL >= 0).all(axis=1))
    if not len(coded):
      raise ValueError("found no entry with codes")
    paths_CL = np.full(codes_CL.shape, UNKNOWN, np.int32)
    parents, steps = [], []  # of each node but the root, in order
    nodes, count = np.zeros(len(coded), np.int64), 1
    for level, codes in enumerate(codes_CL[coded].T):
      paths_CL[coded, level] = nodes
      edges, nodes = np.unique(nodes * size + codes, return_inverse=True)
      parents.append(edges // size)
      steps.append(edges % size)
      nodes = nodes + count
      count += len(edges)
    leaves = len(parents[-1])
    if leaves < len(coded):
      raise ValueError(f"found {len(coded)} entries with {leaves} codes")
    children_XK = np.full((count - leaves, size), UNKNOWN, np.int32)
    numbers = np.arange(1, count)
    numbers[count - leaves - 1 :] = coded[np.argsort(nodes)]
    children_XK[np.concatenate(parents), np.concatenate(steps)] = numbers
    return cls(jnp.asarray(children_XK), jnp.asarray(paths_CL))

  def after(self, tokens: Int[Array, "*any L"]) -> Bool[Array, "*any K"]:
    """Which tokens go on to an entry after those of a beginning.

    Args:
      tokens: padded by UNKNOWN; fewer than L of them.
    """
    node = self._node(tokens)
    going_on = self.children_XK[jnp.maximum(node, 0)] >= 0
    return going_on & (node >= 0)[..., None]

  def before(self, entries: Int[Array, "*any"]) -> Bool[Array, "*any L K"]:
    """`after` at each place of an entry's codes; not of negative entries."""
    return self.children_XK[self.paths_CL[entries]] >= 0

  def entries(self, tokens: Int[Array, "*any L"]) -> Int[Array, "*any"]:
    """The entry of whole codes; UNKNOWN where some are missing."""
    whole = (tokens >= 0).all(axis=-1)
    return jnp.where(whole, self._node(tokens), UNKNOWN)

  def _node(self, tokens: Int[Array, "*any L"]) -> Int[Array, "*any"]:
    node = jnp.zeros(tokens.shape[:-1], jnp.int32)
    for place in range(tokens.shape[-1]):
      token = tokens[..., place]
      child = self.children_XK[jnp.maximum(node, 0), jnp.maximum(token, 0)]
      child = jnp.where(node >= 0, child, UNKNOWN)
      node = jnp.where(token >= 0, child, node)
    return node
