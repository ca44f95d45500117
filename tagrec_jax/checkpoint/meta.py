"""What a checkpoint says of itself, and what must agree to go on from it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tagrec_jax.checkpoint.migrate import FORMAT
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.log import warn
from tagrec_jax.core.recorded import complete
from tagrec_jax.core.trees import named_leaves

MAY_CHANGE = frozenset(
  {"name", "data", "train", "sharding", "checkpoint", "evaluation"}
)
"""Config sections that a resumed run may change: they choose how long, where
and how often, not what is trained. The data have a fingerprint of their own."""

Meta = dict[str, Any]
"""Plain JSON: format, step, score (the watched metric, or null), tree (leaf →
'float32[8,16]'), progress (of the loop) and the fields of `Identity`."""


@dataclasses.dataclass(frozen=True)
class Identity:
  """Who writes a checkpoint.

  Attributes:
    config: all settings as plain values.
    vocabularies: 'items' → (number of ids, sha256 over them in order).
    data: fingerprint of the whole data set.
    parts: 'events' → its size and fingerprint, to tell what changed.
    key: data of the root random key.
    versions: of libraries and code, for people to read.
  """

  config: Mapping[str, Any]
  vocabularies: Mapping[str, tuple[int, str]]
  data: str
  key: Sequence[int]
  versions: Mapping[str, str]
  parts: Mapping[str, str] = dataclasses.field(default_factory=dict)

  def plain(self) -> Meta:
    """As it reads back from JSON: tuples are lists."""
    return json.loads(json.dumps(dataclasses.asdict(self)))


def describe(tree: Any) -> dict[str, str]:
  """Leaf name → 'float32[8,16]'."""
  return {
    name: f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"
    for name, leaf in named_leaves(tree).items()
  }


def new_meta(
  identity: Identity,
  step: int,
  state: Any,
  score: float | None,
  progress: Mapping[str, Any],
) -> Meta:
  """The meta of a state about to be saved."""
  return {
    "format": FORMAT,
    "step": step,
    "score": score,
    "tree": describe(state),
    "progress": dict(progress),
    **identity.plain(),
  }


def check_format(meta: Meta, where: str) -> None:
  """Raises UserError for one of a later version, or read otherwise today."""
  if meta["format"] > FORMAT:
    version = meta["versions"].get("tagrec_jax", "a later version")
    raise UserError(
      where,
      f"written by tagrec_jax {version} in format {meta['format']}",
      f"format {FORMAT} or older",
      "upgrade tagrec_jax",
    )
  if leaf := meta["unreadable"]:
    raise UserError(
      where,
      f"written in format {meta['format']}, when {leaf} was used otherwise",
      f"format {FORMAT}",
      "train anew, or use the tagrec_jax that versions.json names",
    )


def check_identity(
  meta: Meta, identity: Identity, where: str, allow_changes: bool = False
) -> None:
  """Compares data, config and seed of a checkpoint with those of this run.

  Args:
    allow_changes: warn only, unless a vocabulary changed: then the rows of the
      tables mean other products.

  Raises:
    UserError: naming what differs.
  """
  mine = identity.plain()
  check_vocabularies(meta, identity.vocabularies, where)
  config = complete(mine["config"])
  changes = [
    f"config.{name} was {old!r} and is {new!r}"
    for section in sorted(set(config) - MAY_CHANGE)
    for name, old, new in _changes(
      meta["config"].get(section), config[section], section
    )
  ]
  if meta["data"] != mine["data"]:
    changes += [
      f"{name} of the data were {old} and are {new}"
      for name, old, new in _changes(meta["parts"], mine["parts"], "")
      if old is not None
    ]
    was, now = meta["data"][:8], mine["data"][:8]
    changes.append(f"the data's fingerprint was {was} and is {now}")
  if meta["key"] != mine["key"]:
    changes.append("the root random key is another")
  if changes and allow_changes:
    warn(f"{where}: going on although {'; '.join(changes)}")
  elif changes:
    raise UserError(
      where,
      "; ".join(changes),
      "what it was trained with",
      "change it back, begin anew in another --workdir, or go on with what is"
      " here by --allow_changes",
    )


def check_vocabularies(
  meta: Meta, vocabularies: Mapping[str, tuple[int, str]], where: str
) -> None:
  """Raises UserError, naming a parameter, if ids or their order differ."""
  for name, (size, sha) in vocabularies.items():
    old_size, old_sha = meta["vocabularies"].get(name, (0, "none"))
    if (size, sha) != (old_size, old_sha):
      users = [
        leaf
        for leaf, kind in meta["tree"].items()
        if leaf.startswith("params.")
        and str(old_size) in kind.partition("[")[2].rstrip("]").split(",")
      ]
      raise UserError(
        where,
        f"vocabulary '{name}' has {old_size} ids ({old_sha[:8]})"
        + (f", as {users[0]} was made for" if users else ""),
        f"the {size} ids ({sha[:8]}) of this data set",
        "use the data set it was trained on, add what is new to the run by"
        " experiments.extend, or train anew",
      )


def check_tree(
  meta: Meta,
  template: Any,
  where: str,
  prefix: str = "",
  cast: bool | None = None,
) -> None:
  """Compares the leaves of a checkpoint with those wanted.

  Args:
    prefix: of the checkpoint's leaves that are wanted, such as 'params.'.
    cast: warn only where nothing differs but the type of numbers; None: there
      is no flag to ask for this.

  Raises:
    UserError: a readable difference: missing, extra and changed leaves.
  """
  wanted = {prefix + name: kind for name, kind in describe(template).items()}
  found = {n: kind for n, kind in meta["tree"].items() if n.startswith(prefix)}
  differ = {
    name: (found.get(name, "missing"), wanted.get(name, "absent"))
    for name in sorted(wanted.keys() | found.keys())
    if wanted.get(name) != found.get(name)
  }
  if not differ:
    return
  lines = [f"{n} is {old} instead of {new}" for n, (old, new) in differ.items()]
  more = f" (and {len(lines) - 3} more)" if len(lines) > 3 else ""
  told = "; ".join(lines[:3]) + more
  only_types = all(_is_cast(old, new) for old, new in differ.values())
  if only_types and cast:
    warn(f"{where}: numbers are cast: {told}")
    return
  fix = "use the config it was trained with"
  if only_types and cast is not None:
    fix += ", or cast its numbers by --restore_cast"
  expected = "the leaves of this model and optimizer"
  raise UserError(where, told, expected, fix)


def _is_cast(old: str, new: str) -> bool:
  """Whether two leaves differ in how their real numbers are stored alone."""
  (old_type, _, old_shape), (new_type, _, new_shape) = (
    kind.partition("[") for kind in (old, new)
  )
  return old_shape == new_shape and all(
    "float" in kind for kind in (old_type, new_type)
  )


def _changes(old: Any, new: Any, name: str) -> Iterator[tuple[str, Any, Any]]:
  """The innermost keys that differ."""
  if isinstance(old, dict) and isinstance(new, dict):
    for key in sorted(old.keys() | new.keys()):
      inner = f"{name}.{key}" if name else key
      yield from _changes(old.get(key), new.get(key), inner)
  elif old != new:
    yield name, old, new
