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

from tagrec_jax.core.errors import UserError
from tagrec_jax.data.lists import Columns
from tagrec_jax.data.mapped import open_columns, write_columns

if TYPE_CHECKING:
  from apache_beam import Pipeline

Shard = tuple[pathlib.Path, range]
"""Its file, and the numbers of its blocks."""
Write = Callable[[Columns, Shard], None]


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

    write_one = functools.partial(_write_one, write, folder)
    write_columns(folder, [columns])
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


def _write_one(write: Write, folder: pathlib.Path, shard: Shard) -> None:
  """Writes a shard, which appears complete: runners may try it twice."""
  path, blocks = shard
  unfinished = folder / uuid.uuid4().hex
  write(open_columns(folder), (unfinished, blocks))
  unfinished.rename(path)


def _last_line(said: Any) -> str:
  lines = str(said).strip().splitlines() or [type(said).__name__]
  return lines[-1][:200]
