"""Shards of a table, written by the workers of Apache Beam.

A pipeline has an element for each shard. Workers find the columns by path, in
files that they map into memory: of a large table each reads what it writes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import pathlib
import shutil
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tagrec_jax.core.errors import UserError
from tagrec_jax.data.lists import Lists

if TYPE_CHECKING:
  from apache_beam import Pipeline

  from tagrec_jax.data.tables import Columns

Shard = tuple[pathlib.Path, range]
"""Its file, and the numbers of its blocks."""
Write = Callable[["Columns", Shard], None]


@dataclasses.dataclass(frozen=True)
class Beam:
  """Where pipelines run.

  Attributes:
    options: as Beam itself takes them, such as '--runner=FlinkRunner'.
  """

  options: tuple[str, ...]

  @classmethod
  def of(cls, options: Iterable[str]) -> Beam:
    """An engine that will not fail for its options after hours of reading.

    Raises:
      UserError: if Beam is not installed or does not take the options.
    """
    made = cls(tuple(options))
    made._pipeline()
    return made

  def write(
    self,
    write: Write,
    columns: Columns,
    shards: Sequence[Shard],
    folder: pathlib.Path,
  ) -> None:
    """Lets workers write shards of columns.

    Args:
      write: writes one.
      folder: that workers see too, new, on the disk of the shards; gone when
        this returns.

    Raises:
      UserError: with what the engine said if it did not come to its end.
    """
    import apache_beam as beam

    shared = Shared.write(columns, folder)
    write_one = functools.partial(_write_one, write, shared)
    try:
      with self._pipeline() as pipeline:
        all_shards = pipeline | "Shards" >> beam.Create(list(shards))
        apart = all_shards | "To all workers" >> beam.Reshuffle()
        _ = apart | "Write" >> beam.Map(write_one)
    except Exception as error:  # every runner has its own
      raise UserError(
        self._where,
        f"did not write the data ({_last_line(error)})",
        "workers that have this tagrec_jax and see config.data.cache_dir",
        "look at the runner's own log",
      ) from error
    finally:
      shutil.rmtree(folder, ignore_errors=True)

  def _pipeline(self) -> Pipeline:
    try:
      import apache_beam as beam
      from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError:
      raise UserError(
        self._where,
        "the package apache_beam is not installed",
        "it, in an environment of its own",
        'pip install -e ".[beam]"',
      ) from None
    said = io.StringIO()
    try:
      with contextlib.redirect_stderr(said):  # a page of usage
        options = PipelineOptions(list(self.options))
        options.get_all_options()  # else they are read one by one, while used
        return beam.Pipeline(options=options)
    except SystemExit:
      found = _last_line(said.getvalue()).partition("error: ")[2]
    except (ImportError, ValueError) as error:  # of the runner
      found = _last_line(error)
    raise UserError(self._where, found, "options of Apache Beam")

  @property
  def _where(self) -> str:
    return f"--beam_options='{' '.join(self.options)}'"


@dataclasses.dataclass(frozen=True)
class Shared:
  """Columns in a folder that workers see.

  Attributes:
    folder: has a file, or for lists two, of each column.
    lists: by name whether a column is one of lists.
  """

  folder: pathlib.Path
  lists: dict[str, bool]

  @classmethod
  def write(cls, columns: Columns, folder: pathlib.Path) -> Shared:
    """Writes columns into a new folder."""
    folder.mkdir()
    shared = cls(folder, {n: isinstance(c, Lists) for n, c in columns.items()})
    for number, column in enumerate(columns.values()):
      if isinstance(column, Lists):
        np.save(shared._file(number, "values"), column.values)
        np.save(shared._file(number, "offsets"), column.offsets)
      else:
        np.save(shared._file(number), column)
    return shared

  def read(self) -> Columns:
    """The columns; only what is looked at is read."""
    return {
      name: Lists(self._map(number, "values"), self._map(number, "offsets"))
      if of_lists
      else self._map(number)
      for number, (name, of_lists) in enumerate(self.lists.items())
    }

  def _file(self, number: int, part: str = "rows") -> pathlib.Path:
    # By number: names may be anything.
    return self.folder / f"{number}.{part}.npy"

  def _map(self, number: int, part: str = "rows") -> np.ndarray:
    path = self._file(number, part)
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _write_one(write: Write, shared: Shared, shard: Shard) -> None:
  """Writes a shard, which appears complete: runners may try it twice."""
  path, blocks = shard
  unfinished = shared.folder / uuid.uuid4().hex
  write(shared.read(), (unfinished, blocks))
  unfinished.rename(path)


def _last_line(said: Any) -> str:
  lines = str(said).strip().splitlines() or [type(said).__name__]
  return lines[-1][:200]
