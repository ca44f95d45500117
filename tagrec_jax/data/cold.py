"""Which products, people and tags training never sees: by their names alone.

A name's hash decides, so the choice is the same on every machine, and what
comes later changes nothing for those that were there before.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import Bool
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tagrec_jax.data.records import Item
from tagrec_jax.data.words import words


@dataclasses.dataclass(frozen=True)
class ColdItems:
  """Ids of the products that are kept for questions."""

  valid: frozenset[str]
  test: frozenset[str]

  def __contains__(self, id: str) -> bool:
    return id in self.valid or id in self.test


def cold_items(items: Sequence[Item], fraction: float) -> ColdItems:
  """Puts a fraction of products into valid and again into test.

  Products that are alike (see `alike`) stay together.

  Args:
    fraction: of groups; of products about as many.
  """
  valid, test = set(), set()
  if fraction:
    for item, group in zip(items, alike(items), strict=True):
      place = _place("item", group)
      if place < fraction:
        valid.add(item.id)
      elif place < 2 * fraction:
        test.add(item.id)
  return ColdItems(frozenset(valid), frozenset(test))


def cold_people(ids: Sequence[str], fraction: float) -> Bool[np.ndarray, " P"]:
  """Whose events do not train."""
  if not fraction:
    return np.zeros(len(ids), bool)
  return np.array([_place("person", id) < fraction for id in ids], bool)


def cold_tags(tags: Iterable[str], fraction: float) -> frozenset[str]:
  """Tags that no product of training has."""
  return frozenset(tag for tag in tags if _place("tag", tag) < fraction)


def alike(items: Sequence[Item]) -> list[str]:
  """The name of the group of each product.

  Products are alike if they have the same `Item.group`, or titles and
  descriptions of the same words, or if a chain of such pairs joins them. A
  group is named by the first, in the order of code points, of the groups and
  ids in it.
  """
  keys: dict[tuple[str, str], int] = {}
  edges = [
    (row, len(items) + keys.setdefault(key, len(keys)))
    for row, item in enumerate(items)
    for key in _keys(item)
  ]
  size = len(items) + len(keys)
  ends = np.array(edges, np.int64).reshape(-1, 2).T
  graph = coo_array((np.ones(len(edges), bool), tuple(ends)), (size, size))
  _, labels = connected_components(graph, directed=False)
  names: dict[int, str] = {}
  rows = labels[: len(items)].tolist()
  for label, item in zip(rows, items, strict=True):
    name = item.group or item.id
    names[label] = min(names.get(label, name), name)
  return [names[label] for label in rows]


def _keys(item: Item) -> Iterator[tuple[str, str]]:
  """What like products have in common."""
  if item.group:
    yield "group", item.group
  if said := words(f"{item.title}\n{item.description}"):
    yield "words", " ".join(said)


def _place(kind: str, name: str) -> float:
  """Where a name falls between 0 and 1, evenly; independent for each kind."""
  text = f"{kind} {name}".encode("utf-8", "surrogatepass")
  digest = hashlib.blake2b(text, digest_size=6).digest()
  return int.from_bytes(digest) / 2**48
