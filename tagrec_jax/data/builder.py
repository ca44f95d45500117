"""Tables of rows as ArrayRecord through TFDS, without TensorFlow.

What is written is ordinary TFDS: `tfds.builder_from_directory` reads it too.
Importing this module imports tensorflow_datasets.
"""

from __future__ import annotations

import contextlib
import functools
import io
import pathlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow_datasets as tfds

SHARD_ROWS = 50_000
_READ_ROWS = 10_000

Row = dict[str, Any]
MakeRows = Callable[[int, int], Iterator[Row]]
"""(first, last) → those rows, in order."""


class TagrecPrepared(tfds.core.ShardBasedBuilder):
  """Rows of one table, which is the builder's config; its split is 'rows'.

  A `GeneratorBasedBuilder` would sort its examples, and beyond 1 GB of them it
  does so in temporary files that need TensorFlow. Here rows stay in order and
  one shard is in memory at a time.

  Args:
    features: of each row. `Text` takes bytes; use `Tensor((None,))` for lists,
      since `Sequence` needs TensorFlow.
    make_rows: None where nothing is written.
    num_rows: how many there are.
  """

  VERSION = tfds.core.Version("1.0.0")
  BUILDER_CONFIGS = [  # noqa: RUF012 (a list in the base class)
    tfds.core.BuilderConfig(name="people"),
    tfds.core.BuilderConfig(name="catalogue"),
  ]

  def __init__(
    self,
    *,
    features: Mapping[str, Any],
    make_rows: MakeRows | None = None,
    num_rows: int = 0,
    **kwargs: Any,
  ):
    self._features = dict(features)
    self._make_rows = make_rows
    self._num_rows = num_rows
    super().__init__(file_format="array_record", **kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
      builder=self,
      description="A data set prepared by tagrec_jax.",
      features=tfds.features.FeaturesDict(self._features),
      disable_shuffling=True,
    )

  def _shard_iterators_per_split(self, dl_manager: Any) -> dict[str, list]:
    del dl_manager  # nothing is downloaded
    starts = range(0, self._num_rows, SHARD_ROWS)
    return {"rows": [functools.partial(self._shard, start) for start in starts]}

  def _shard(self, start: int) -> Iterator[tuple[int, Row]]:
    assert self._make_rows is not None
    end = min(start + SHARD_ROWS, self._num_rows)
    yield from enumerate(self._make_rows(start, end), start)


def write_table(
  folder: pathlib.Path,
  table: str,
  features: Mapping[str, Any],
  make_rows: MakeRows,
  num_rows: int,
) -> None:
  """Writes a table below `folder`, without a word and without the network."""
  builder = TagrecPrepared(
    data_dir=folder,
    config=table,
    features=features,
    make_rows=make_rows,
    num_rows=num_rows,
  )
  downloads = folder / "downloads"  # TFDS makes it even if nothing is fetched
  config = tfds.download.DownloadConfig(try_download_gcs=False)
  with contextlib.redirect_stdout(io.StringIO()):
    builder.download_and_prepare(download_dir=downloads, download_config=config)
  shutil.rmtree(downloads)


def read_table(
  folder: pathlib.Path, table: str, features: Mapping[str, Any]
) -> dict[str, list]:
  """The columns of a table; text as bytes."""
  builder = TagrecPrepared(data_dir=folder, config=table, features=features)
  columns: dict[str, list] = {name: [] for name in features}
  source = builder.as_data_source("rows")
  # Many at a time, which is twice as fast as one after another.
  for start in range(0, len(source), _READ_ROWS):
    end = min(start + _READ_ROWS, len(source))
    for row in source.__getitems__(range(start, end)):
      for name, values in columns.items():
        values.append(row[name])
  return columns
