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
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from tagrec_jax.data.lists import Lists
from tagrec_jax.data.tables import Columns

BLOCK_ROWS = 1024
BLOCK_BYTES = 2**23
"""At most, as far as one row has no more: pictures and clips are large."""
SHARD_BLOCKS = 64

_LENGTHS = "lengths_"

Block = dict[str, np.ndarray]
MakeBlock = Callable[[int], Block]
"""Number of a block → its arrays."""


class TagrecPrepared(tfds.core.ShardBasedBuilder):
  """Blocks of one table, which is the builder's config; its split is 'rows'.

  A `GeneratorBasedBuilder` would sort its examples, and beyond 1 GB of them it
  does so in temporary files that need TensorFlow. Here blocks stay in order and
  one shard is in memory at a time.

  Args:
    features: of each block.
    make_block: makes one.
    num_blocks: how many there are.
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
    make_block: MakeBlock,
    num_blocks: int,
    **kwargs: Any,
  ):
    self._features = dict(features)
    self._make_block = make_block
    self._num_blocks = num_blocks
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
    starts = range(0, self._num_blocks, SHARD_BLOCKS)
    return {"rows": [functools.partial(self._shard, start) for start in starts]}

  def _shard(self, start: int) -> Iterator[tuple[int, Block]]:
    for number in range(start, min(start + SHARD_BLOCKS, self._num_blocks)):
      yield number, self._make_block(number)


def write_table(
  folder: pathlib.Path, table: str, columns: Columns, rows: int
) -> None:
  """Writes a table below `folder`, without a word and without the network."""
  size = _block_rows(columns)
  make_block = functools.partial(_block, columns, size)
  builder = TagrecPrepared(
    data_dir=folder,
    config=table,
    features={name: _feature(array) for name, array in make_block(0).items()},
    make_block=make_block,
    num_blocks=max(1, -(-rows // size)),  # TFDS wants one even of no rows
  )
  downloads = folder / "downloads"  # TFDS makes it even if nothing is fetched
  config = tfds.download.DownloadConfig(try_download_gcs=False)
  with contextlib.redirect_stdout(io.StringIO()):
    builder.download_and_prepare(download_dir=downloads, download_config=config)
  shutil.rmtree(downloads)


def read_table(folder: pathlib.Path, table: str) -> dict[str, Any]:
  """The columns of a table."""
  version = str(TagrecPrepared.VERSION)
  builder = tfds.builder_from_directory(
    folder / TagrecPrepared.name / table / version
  )
  source = builder.as_data_source("rows")
  blocks = source.__getitems__(range(len(source)))
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
