"""Names for the leaves of a tree, the same in every message and file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax


def _name(path: tuple[Any, ...]) -> str:
  return jax.tree_util.keystr(path, simple=True, separator=".")


def named_leaves(tree: Any) -> dict[str, Any]:
  """'history.blocks.0.bias' → leaf, in the order of `jax.tree.leaves`."""
  return {
    _name(path): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


def map_named(call: Callable[..., Any], tree: Any, *rest: Any) -> Any:
  """`jax.tree.map` for functions that want (name, leaf, ...)."""
  return jax.tree_util.tree_map_with_path(
    lambda path, *leaves: call(_name(path), *leaves), tree, *rest
  )
