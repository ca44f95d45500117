"""Saving checkpoints while training goes on, and going on from them.

Orbax writes into `.unfinished/`; when all is there, the manifest is added and
the folder moves to its place in one rename. So a checkpoint is whole or it is
not there, and whatever lies in `.unfinished/` when a run begins is rubbish: the
same move, backwards, begins a deletion.
"""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import re
import shutil
from collections.abc import Mapping
from typing import Any

import jax
import orbax.checkpoint as ocp

from tagrec_jax.checkpoint import manifest, quiet, reader
from tagrec_jax.checkpoint.meta import (
  Identity,
  Meta,
  check_format,
  check_identity,
  check_tree,
  new_meta,
)
from tagrec_jax.core.errors import StorageError
from tagrec_jax.core.log import warn
from tagrec_jax.core.trees import named_leaves


class Checkpoints:
  """The checkpoints of one run; a context manager that finishes the last save.

  Args:
    folder: made if it does not exist.
    keep: newest checkpoints that stay; the best one stays besides.
    identity: of this run.
    allow_changes: go on although config or data changed (`check_identity`).
    cast: restore numbers of another type than is wanted (`check_tree`).

  Raises:
    StorageError: if the folder cannot be written.
  """

  def __init__(
    self,
    folder: pathlib.Path,
    keep: int,
    identity: Identity,
    allow_changes: bool = False,
    cast: bool = False,
  ):
    self._folder = folder.absolute()
    self._unfinished = self._folder / quiet.UNFINISHED
    self._keep = keep
    self._identity = identity
    self._allow_changes = allow_changes
    self._cast = cast
    self._leads = jax.process_index() == 0
    if self._leads:
      self._clean()
    self._scores = {
      step: reader.score_of(self._folder, step)
      for step in reader.list_steps(self._folder)
    }
    self._unread = set(self._scores)  # by this process: who knows their state
    quiet.once()
    self._saver = ocp.AsyncCheckpointer(ocp.CompositeCheckpointHandler())
    self._thread = concurrent.futures.ThreadPoolExecutor(1)
    self._publishing: concurrent.futures.Future[None] | None = None

  def __enter__(self) -> Checkpoints:
    return self

  def __exit__(self, kind: Any, *_: Any) -> None:
    try:
      self.wait()
    except StorageError:
      if kind is None:  # another error is already on its way
        raise
    finally:
      self._saver.close()
      self._thread.shutdown()

  def restore(
    self, template: Any, step: int | None = None, exact: bool = True
  ) -> tuple[Any, Meta] | None:
    """The newest whole checkpoint; None if none was ever made or asked for.

    Newer ones, damaged or not wanted, are renamed to `<step>.aside`, with a
    warning; nothing is deleted.

    Args:
      template: of the state, with shardings.
      step: this one and no other.
      exact: if not, an older one will do where this one is damaged.

    Raises:
      StorageError: if there are checkpoints and none of them is whole.
      UserError: if it belongs to other data, another config or model.
    """
    self.wait()
    faults: dict[int, str] = {}
    for candidate in reversed(reader.list_steps(self._folder)):
      path = self._folder / str(candidate)
      if step is not None and candidate > step:
        faults[candidate] = f"newer than the step asked for, {step}"
        continue
      fault = manifest.find_fault(path)
      if not fault:
        break
      faults[candidate] = fault
    else:
      self._check_nothing(faults)
      if step is not None:
        reader.find_step(self._folder, step)  # raises, and says why
      return None
    if step is not None and exact and candidate != step:
      reader.read_meta(self._folder, step)  # raises, and says why
    where = f"checkpoint of step {candidate}"
    meta = reader.load_meta(path)
    check_format(meta, where)
    check_identity(meta, self._identity, where, self._allow_changes)
    check_tree(meta, template, where, cast=self._cast)
    state = reader.restore_arrays(path, template, meta)
    self._unread.discard(candidate)
    for damaged, fault in faults.items():
      self._set_aside(damaged, f"{fault}; using step {candidate}")
    return state, meta

  def save(
    self,
    step: int,
    state: Any,
    progress: Mapping[str, Any],
    score: float | None = None,
    needed: int = -1,
  ) -> None:
    """Copies the state to the host, then writes it in the background.

    A checkpoint of the same step is replaced.

    Args:
      progress: plain values the loop wants back with the state.
      score: the watched metric, if it was measured at this step.
      needed: a step whose checkpoint stays besides.

    Raises:
      StorageError: if this or the save before it fails.
    """
    self.wait()
    meta = new_meta(self._identity, step, state, score, progress)
    try:
      self._saver.save(
        self._unfinished / str(step),
        args=ocp.args.Composite(
          state=ocp.args.PyTreeSave(named_leaves(state)),
          meta=ocp.args.JsonSave(meta),
        ),
        force=True,
      )
    except OSError as error:
      raise self._failed(step, error) from error
    self._publishing = self._thread.submit(self._publish, step, score, needed)

  def check(self) -> None:
    """Raises StorageError if a save has failed; costs nothing else."""
    if self._publishing is not None and self._publishing.done():
      self.wait()

  def wait(self) -> None:
    """Until the last save is in its place.

    Raises:
      StorageError: if it failed.
    """
    publishing, self._publishing = self._publishing, None
    if publishing is not None:
      publishing.result()

  def _publish(self, step: int, score: float | None, needed: int) -> None:
    try:
      self._saver.wait_until_finished()
      if not self._leads:
        return
      manifest.write(self._unfinished / str(step))
      self._remove(step)
      (self._unfinished / str(step)).rename(self._folder / str(step))
      self._scores[step] = score
      self._unread.discard(step)
      self._retire(needed)
    # Orbax and tensorstore raise errors of many types when a disk is full.
    except Exception as error:
      raise self._failed(step, error) from error

  def _failed(self, step: int, error: Exception) -> StorageError:
    shutil.rmtree(self._unfinished, ignore_errors=True)
    reason = str(error).strip().split("\n")[0] or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
      reason = error.strerror
    if number := re.search(r"os_error_code='(\d+)'", reason):  # of tensorstore
      reason = os.strerror(int(number[1]))
    return StorageError(
      str(self._folder),
      f"checkpoint of step {step} could not be written ({reason})",
      fix="make room there; the run goes on from the checkpoint before",
    )

  def _retire(self, needed: int) -> None:
    """Deletes all but the newest ones, the best one and one that is needed.

    Only whole ones count, or a damaged one could outlive the last that is good.
    """
    for step in sorted(self._unread):
      if fault := manifest.find_fault(self._folder / str(step)):
        self._set_aside(step, fault)
    self._unread.clear()
    newest = sorted(self._scores)[-self._keep :]
    stay = {*newest, reader.best_of(self._scores), needed}
    for step in set(self._scores) - stay:
      self._remove(step)

  def _remove(self, step: int) -> None:
    old = self._folder / str(step)
    if old.exists():
      rubbish = self._unfinished / f"{step}.old"
      rubbish.parent.mkdir(exist_ok=True)
      old.rename(rubbish)
      shutil.rmtree(rubbish, ignore_errors=True)
    self._scores.pop(step, None)

  def _clean(self) -> None:
    try:
      self._folder.mkdir(parents=True, exist_ok=True)
      shutil.rmtree(self._unfinished, ignore_errors=True)
      self._unfinished.mkdir(exist_ok=True)
    except OSError as error:
      raise StorageError(
        str(self._folder),
        f"cannot be written ({error.strerror})",
        "a folder for checkpoints",
        "choose another --workdir",
      ) from error

  def _set_aside(self, step: int, why: str) -> None:
    """Renames a checkpoint that is not to be used; none of them is deleted."""
    warn(f"step {step}: {why}")
    if self._leads:
      path = self._folder / str(step)
      taken = len(list(self._folder.glob(f"{step}.aside*")))
      path.rename(self._folder / f"{step}.aside{taken or ''}")
    self._scores.pop(step, None)
    self._unread.discard(step)

  def _check_nothing(self, faults: Mapping[int, str]) -> None:
    """A run begins at 0 only if there never was a checkpoint."""
    troubles = {str(step): fault for step, fault in faults.items()}
    for path in sorted(self._folder.glob("*.aside*")):
      troubles[path.name] = "was set aside"
    if troubles:
      newest, fault = next(iter(troubles.items()))
      raise StorageError(
        str(self._folder),
        f"no valid checkpoint of {len(troubles)} ({', '.join(troubles)});"
        f" {newest}: {fault}",
        fix="repair it, or begin anew in another --workdir",
      )
