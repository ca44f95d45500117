"""Metrics on disk: JSON lines for programs, TensorBoard for people."""

from __future__ import annotations

import json
import math
import os
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.log import warn

Values = Mapping[str, float]


@runtime_checkable
class Writer(Protocol):
  """Takes the metrics of a run."""

  def begin(self, step: int) -> None:
    """The run goes on after `step`; what was written later is void.

    Also of a run that goes back to `step`.
    """
    ...

  def write(self, step: int, values: Values) -> None: ...

  def close(self) -> None: ...


class JsonLines:
  """One JSON object a line: {'step': 20, 'loss': 6.1, ...}.

  A number that is not finite becomes null.

  Attributes:
    lost: seconds that the steps took whose rows are void and come again.
  """

  def __init__(self, path: pathlib.Path):
    self._path = path
    self._file: Any = None
    self.lost = 0.0

  def begin(self, step: int) -> None:
    rows = read_rows(self._path)
    kept = [row for row in rows if row["step"] <= step]
    self.lost = _seconds_after(rows, step)
    part = self._path.with_name(self._path.name + ".part")
    part.write_text("".join(_line(row) for row in kept), encoding="utf-8")
    part.replace(self._path)
    self.close()
    self._file = self._path.open("a", encoding="utf-8")

  def write(self, step: int, values: Values) -> None:
    self._file.write(_line({"step": step, **values}))
    self._file.flush()

  def close(self) -> None:
    if self._file is not None:
      self._file.close()


def read_rows(path: pathlib.Path) -> list[dict[str, Any]]:
  """The rows of a `JsonLines` file; half a line, left by a kill, is no row."""
  if not path.exists():
    return []
  rows = []
  for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
    try:
      row = json.loads(line)
    except ValueError:
      continue
    if isinstance(row, dict) and isinstance(row.get("step"), int):
      rows.append(row)
  return rows


def _seconds_after(rows: Sequence[Mapping[str, Any]], step: int) -> float:
  """What the steps after `step` took, as far as their rows tell."""
  seconds, before = 0.0, step
  for row in rows:
    rate = row.get("steps_per_second")
    if row["step"] > before and rate:
      seconds += (row["step"] - before) / rate
      before = row["step"]
  return seconds


def _line(row: Mapping[str, Any]) -> str:
  finite = {
    name: value if value is not None and math.isfinite(value) else None
    for name, value in row.items()
  }
  return json.dumps(finite, allow_nan=False) + "\n"


class TensorBoard:
  """Event files; needs the package tensorboardX.

  tensorboardX's own writer thread dies on a full disk and then blocks the run,
  so events are written here, at once.
  """

  def __init__(self, folder: pathlib.Path):
    try:
      from tensorboardX import event_file_writer, summary
      from tensorboardX.proto import event_pb2
    except ImportError as error:
      raise UserError(
        "TensorBoard",
        "the package tensorboardX is not installed",
        fix="pip install tensorboardX",
      ) from error
    self._folder = folder
    self._open = event_file_writer.EventsWriter
    self._scalar = summary.scalar
    self._proto = event_pb2
    self._events: Any = None

  def begin(self, step: int) -> None:
    self._folder.mkdir(parents=True, exist_ok=True)
    self.close()
    self._events = self._open(
      str(self._folder / "events"),
      # The name has whole seconds; a quick restart must not overwrite it.
      filename_suffix=f".{os.getpid()}.{time.time_ns()}",
    )
    # Tells TensorBoard to forget later steps of the run that stopped.
    start = self._proto.SessionLog(status=self._proto.SessionLog.START)
    self._write(step + 1, session_log=start)

  def write(self, step: int, values: Values) -> None:
    for name, value in values.items():
      self._write(step, summary=self._scalar(name, value))
    self._events.flush()

  def close(self) -> None:
    if self._events is not None:
      self._events.close()

  def _write(self, step: int, **what: Any) -> None:
    self._events.write_event(
      self._proto.Event(step=step, wall_time=time.time(), **what)
    )


class Writers:
  """Several writers as one; a disk that is full costs metrics, not the run."""

  def __init__(self, writers: Sequence[Writer] = ()):
    self._writers = list(writers)

  def begin(self, step: int) -> None:
    self._each("begin", step)

  @property
  def lost(self) -> float:
    """Seconds of the run before that are made again, see `JsonLines`."""
    return max((getattr(w, "lost", 0.0) for w in self._writers), default=0.0)

  def write(self, step: int, values: Values) -> None:
    self._each("write", step, values)

  def close(self) -> None:
    self._each("close")

  def _each(self, method: str, *args: Any) -> None:
    for writer in list(self._writers):
      try:
        getattr(writer, method)(*args)
      except OSError as error:
        self._writers.remove(writer)
        warn(
          f"{type(writer).__name__}: metrics are no longer written"
          f" ({error.strerror or error}); the run goes on"
        )
