"""Reading checkpoints: which there are, whether they are whole, what is inside.

A folder of checkpoints holds `60/` for step 60, with `state/` and `meta/` by
Orbax and `manifest.json`. Nothing here writes.
"""

from __future__ import annotations

import pathlib
from typing import Any

import jax
import orbax.checkpoint as ocp
from jax.sharding import SingleDeviceSharding

from tagrec_jax.checkpoint import manifest
from tagrec_jax.checkpoint.meta import Meta, check_format, check_tree
from tagrec_jax.checkpoint.migrate import FORMAT, migrated
from tagrec_jax.core.errors import StorageError, UserError
from tagrec_jax.core.trees import named_leaves

Which = int | str
"""A step, 'best' (by the watched metric) or 'latest'."""


def list_steps(folder: pathlib.Path) -> list[int]:
  """The steps that have a folder, ascending; whole or not."""
  if not folder.is_dir():
    return []
  return sorted(
    int(path.name)
    for path in folder.iterdir()
    if path.name.isdecimal() and path.is_dir() and any(path.iterdir())
  )


def read_meta(folder: pathlib.Path, which: Which = "best") -> Meta:
  """What a checkpoint says of itself.

  Raises:
    UserError: if there is no such checkpoint.
    StorageError: if it is not whole.
  """
  return _open(folder, find_step(folder, which))


def restore_params(
  folder: pathlib.Path, template: Any, which: Which = "best"
) -> tuple[dict[str, Any], Meta]:
  """The parameters to evaluate or serve: averaged ones where they were kept.

  Args:
    template: tree of arrays or shape structs; a leaf with a sharding is put
      there, any other on the first device.

  Raises:
    UserError: if there is no such checkpoint or its parameters differ.
    StorageError: if it is not whole.
  """
  step = find_step(folder, which)
  meta = _open(folder, step)
  averaged = any(name.startswith("ema.") for name in meta["tree"])
  prefix = "ema." if averaged else "params."
  check_tree(meta, template, f"checkpoint of step {step}", prefix)
  return restore_arrays(folder / str(step), template, meta, prefix), meta


def find_step(folder: pathlib.Path, which: Which) -> int:
  """The step meant by 'best', 'latest' or a number."""
  steps = list_steps(folder)
  if not steps:
    raise UserError(str(folder), "no checkpoint", "at least one", "train first")
  if which == "latest":
    return steps[-1]
  if which == "best":
    scores = {step: score_of(folder, step) for step in steps}
    best = best_of(scores)
    return steps[-1] if best is None else best
  if which not in steps:
    raise UserError(
      str(folder),
      f"no checkpoint of step {which}",
      f"one of {', '.join(map(str, steps))}",
      "choose one of them, 'best' or 'latest'",
    )
  return int(which)


def best_of(scores: dict[int, float | None]) -> int | None:
  """The step with the highest score, the first of equals; None if no score."""
  scored = [
    (-score, step) for step, score in scores.items() if score is not None
  ]
  return min(scored)[1] if scored else None


def score_of(folder: pathlib.Path, step: int) -> float | None:
  """The watched metric of a checkpoint, None if it has none or is damaged."""
  try:
    return load_meta(folder / str(step)).get("score")
  except (OSError, ValueError, KeyError):
    return None


def load_meta(path: pathlib.Path) -> Meta:
  """The meta of the checkpoint at `path`, which is not checked.

  In today's words, unless it is of a later format.
  """
  with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
    meta = reader.restore(
      path.absolute(), args=ocp.args.Composite(meta=ocp.args.JsonRestore())
    ).meta
  return migrated(meta) if meta["format"] <= FORMAT else meta


def restore_arrays(
  path: pathlib.Path, template: Any, meta: Meta, prefix: str = ""
) -> Any:
  """Fills a template with the leaves whose names begin with `prefix`.

  Bitwise what was saved, whatever mesh it was saved from.

  Args:
    meta: of this checkpoint, as `load_meta` gives it.
  """
  stored = meta["stored"]
  wanted = {
    stored.get(prefix + name, prefix + name): jax.ShapeDtypeStruct(
      leaf.shape,
      leaf.dtype,
      sharding=getattr(leaf, "sharding", None)
      or SingleDeviceSharding(jax.local_devices()[0]),
    )
    for name, leaf in named_leaves(template).items()
  }
  with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
    found = reader.restore(
      path.absolute(),
      args=ocp.args.Composite(
        state=ocp.args.PyTreeRestore(
          item=wanted,
          restore_args=ocp.checkpoint_utils.construct_restore_args(wanted),
          partial_restore=True,
        )
      ),
    ).state
  leaves = [found[name] for name in wanted]
  return jax.tree.unflatten(jax.tree.structure(template), leaves)


def _open(folder: pathlib.Path, step: int) -> Meta:
  """The meta of a checkpoint after its files were checked."""
  fault = manifest.find_fault(folder / str(step))
  if fault:
    raise StorageError(
      str(folder),
      f"checkpoint of step {step} is damaged: {fault}",
      "files as they were written",
      "choose another step",
    )
  meta = load_meta(folder / str(step))
  check_format(meta, f"checkpoint of step {step}")
  return meta
