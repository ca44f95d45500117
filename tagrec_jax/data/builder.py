"""Tables of columns as ArrayRecord through TFDS, without TensorFlow.

What is written is ordinary TFDS: `tfds.builder_from_directory` reads it too. An
example is a block of many rows, each column one array: with a row in each it
would take forty times as long to write and to read. A column of lists is two
arrays, the values of all lists and, with 'lengths_' before its name, their
lengths.
Importing this module imports tensorflow_datasets.
"""

from __future__ import annotations

import contextlib
import functools
import io
import math
import pathlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.dataset_builder import FileReaderBuilder

from tagrec_jax.data.beam_engine import Beam, Shard
from tagrec_jax.data.lists import Columns, Lists
from tagrec_jax.data.mapped import LARGE, forget

BLOCK_ROWS = 1024
BLOCK_BYTES = 2**23
"""At most, as far as one row has no more: pictures and clips are large."""
SHARD_BLOCKS = 64
_PART_BYTES = 2**22
"""Of blocks that are read together, as far as one has no more."""

_LENGTHS = "lengths_"

Block = dict[str, np.ndarray]
WriteShards = Callable[[tfds.features.FeaturesDict, Sequence[Shard]], None]


class TagrecPrepared(FileReaderBuilder):
  """Blocks of one table, which is the builder's config; its split is 'rows'.

  A `GeneratorBasedBuilder` would sort its examples, and beyond 1 GB of them it
  does so in temporary files that need TensorFlow. Here blocks stay in order and
  one shard is in memory at a time. A `ShardBasedBuilder` (of TFDS 4.9.10) would
  write other bytes in every process, and through Beam stages of each shard's
  own, one after another, with the lengths of more than ten shards mixed up.

  Args:
    features: of each block.
    num_blocks: how many there are.
    write_shards: writes files of them.
  """

  VERSION = tfds.core.Version("1.0.0")
  BUILDER_CONFIGS = [  # noqa: RUF012 (a list in the base class)
    tfds.core.BuilderConfig(name="people"),
    tfds.core.BuilderConfig(name="catalogue"),
    tfds.core.BuilderConfig(name="tags"),
  ]

  def __init__(
    self,
    *,
    features: Mapping[str, Any],
    num_blocks: int,
    write_shards: WriteShards,
    **kwargs: Any,
  ):
    self._features = dict(features)
    self._num_blocks = num_blocks
    self._write_shards = write_shards
    super().__init__(file_format="array_record", **kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
      builder=self,
      description="A data set prepared by tagrec_jax.",
      features=tfds.features.FeaturesDict(self._features),
      disable_shuffling=True,
    )

  def _download_and_prepare(
    self, dl_manager: Any, download_config: Any = None
  ) -> None:
    del dl_manager, download_config  # nothing is downloaded
    blocks = range(self._num_blocks)
    shards = [blocks[at : at + SHARD_BLOCKS] for at in blocks[::SHARD_BLOCKS]]
    template = self._get_filename_template("rows")
    paths = template.sharded_filepaths(len(shards))
    files = [pathlib.Path(path) for path in paths]
    self._write_shards(
      self.info.features, list(zip(files, shards, strict=True))
    )
    rows = tfds.core.SplitInfo(
      name="rows",
      shard_lengths=[len(shard) for shard in shards],
      num_bytes=sum(file.stat().st_size for file in files),
      filename_template=template,
    )
    self.info.set_splits(tfds.core.SplitDict([rows]))


def write_table(
  folder: pathlib.Path,
  table: str,
  columns: Columns,
  rows: int,
  beam: Beam | None = None,
) -> None:
  """Writes a table below `folder`, without a word and without the network.

  Args:
    beam: whose workers write the same files; None, or where there is only one:
      they are written here.
  """
  size = _block_rows(columns)

  def write_shards(
    features: tfds.features.FeaturesDict, shards: Sequence[Shard]
  ) -> None:
    write = functools.partial(_write_shard, features, size)
    if beam and len(shards) > 1:
      beam.write(write, columns, shards, folder / "columns")
      return
    for shard in shards:
      write(columns, shard)

  first = _block(columns, size, 0)
  builder = TagrecPrepared(
    data_dir=folder,
    config=table,
    features={name: _feature(array) for name, array in first.items()},
    num_blocks=max(1, -(-rows // size)),  # TFDS wants one even of no rows
    write_shards=write_shards,
  )
  downloads = folder / "downloads"  # TFDS makes it even if nothing is fetched
  config = tfds.download.DownloadConfig(try_download_gcs=False)
  with contextlib.redirect_stdout(io.StringIO()):
    builder.download_and_prepare(download_dir=downloads, download_config=config)
  shutil.rmtree(downloads)


def _write_shard(
  features: tfds.features.FeaturesDict,
  size: int,
  columns: Columns,
  shard: Shard,
) -> None:
  """Writes one file; the same bytes in every process."""
  path, blocks = shard
  serializer = tfds.core.ExampleSerializer(features.get_serialized_info())
  examples = (
    serializer.get_tf_example(
      features.encode_example(_block(columns, size, number))
    ).SerializeToString(deterministic=True)
    for number in blocks
  )
  tfds.core.ExampleWriter(tfds.core.FileFormat.ARRAY_RECORD).write(
    path, enumerate(examples)
  )
  for column in columns.values():
    forget(column.values if isinstance(column, Lists) else column)


def is_large(folder: pathlib.Path, table: str) -> bool:
  """Whether a table, if all blocks are like the first, is above `LARGE`."""
  source = _source(folder, table)
  return len(source) * _block_bytes(source) > LARGE


def read_table(folder: pathlib.Path, table: str) -> dict[str, Any]:
  """The columns of a table."""
  source = _source(folder, table)
  return _joined(source.__getitems__(range(len(source))))


def read_parts(folder: pathlib.Path, table: str) -> Iterator[dict[str, Any]]:
  """The columns of a table, of some rows after others."""
  source = _source(folder, table)
  size = max(1, _PART_BYTES // max(1, _block_bytes(source)))
  for start in range(0, len(source), size):
    blocks = range(len(source))[start : start + size]
    yield _joined(source.__getitems__(blocks))


def _source(folder: pathlib.Path, table: str) -> Any:
  """The blocks of a table."""
  version = str(TagrecPrepared.VERSION)
  builder = tfds.builder_from_directory(
    folder / TagrecPrepared.name / table / version
  )
  return builder.as_data_source("rows")


def _block_bytes(source: Any) -> int:
  """Of the first block, which others are like."""
  return sum(array.nbytes for array in source[0].values())


def _joined(blocks: list[Block]) -> dict[str, Any]:
  """The columns of some blocks."""
  # Column after column, so that little is in memory twice.
  arrays = {
    name: np.concatenate([block.pop(name) for block in blocks])
    for name in list(blocks[0])
  }
  return {
    name: Lists.of(array, arrays[_LENGTHS + name])
    if _LENGTHS + name in arrays
    else array
    for name, array in arrays.items()
    if not name.startswith(_LENGTHS)
  }


def _block_rows(columns: Columns) -> int:
  """Rows of each block of a table."""
  row_bytes = sum(
    column.dtype.itemsize * math.prod(column.shape[1:])
    for column in columns.values()
    if not isinstance(column, Lists)
  )
  return max(1, min(BLOCK_ROWS, BLOCK_BYTES // max(1, row_bytes)))


def _block(columns: Columns, size: int, number: int) -> Block:
  """`size` rows of every column."""
  first, last = number * size, (number + 1) * size
  block = {}
  for name, column in columns.items():
    if isinstance(column, Lists):
      offsets = column.offsets[first : last + 1]
      block[name] = column.values[offsets[0] : offsets[-1]]
      block[_LENGTHS + name] = np.diff(offsets)
    else:
      block[name] = column[first:last]
  return block


def _feature(array: np.ndarray) -> Any:
  """How TFDS keeps an array: its bytes as they are."""
  return tfds.features.Tensor(
    shape=(None, *array.shape[1:]), dtype=array.dtype, encoding="bytes"
  )
