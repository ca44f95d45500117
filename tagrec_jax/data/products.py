"""Products → batches that ask for their tags, for training and evaluation.

Batch arrays: `product_ids` int32 [B], rows of products, UNKNOWN where one only
fills up the batch; `product_<feature>` [B, ...], what the model reads, as in
`Dataset.product`; `target_tags` int32 [B, M], the rows of their tags, padded by
UNKNOWN. Lists are as wide as the longest of any batch needs, so that one
compiled program does for all, and rows are copied only into their batch.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
from jaxtyping import Integer

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.rng import named_generator
from tagrec_jax.core.settings import PipelineSettings
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.pipeline import Batch, share_of_rows
from tagrec_jax.data.sounds import MISSING
from tagrec_jax.data.spec import TAGS, Kind, Part, batch_key

_MISSING = {
  Kind.CATEGORY: UNKNOWN,
  Kind.ID_SET: UNKNOWN,
  Kind.TEXT: UNKNOWN,
  Kind.NGRAMS: UNKNOWN,
  Kind.NUMBER: np.nan,
  Kind.VECTOR: np.nan,
  Kind.IMAGE: 0,
  Kind.AUDIO: MISSING,
}
"""What a row holds that is no product."""

_LISTS = (Kind.ID_SET, Kind.TEXT, Kind.NGRAMS)


class _Rows:
  """Makes batches of some of the products.

  Args:
    features: names of product features the model reads.
    rows: all that may be asked for; lists are cut after their longest.
  """

  def __init__(
    self, dataset: Dataset, features: tuple[str, ...], rows: np.ndarray
  ):
    kinds = {f.name: f.kind for f in dataset.spec.of(Part.PRODUCT)}
    arrays = {batch_key(Part.PRODUCT, name): name for name in features}
    arrays["target_tags"] = TAGS
    self._arrays = {}
    for key, name in arrays.items():
      array, kind = dataset.product[name], kinds[name]
      if kind in _LISTS:
        array = array[:, : _longest(array, rows)]
      self._arrays[key] = (array, _MISSING[kind])

  def batch(self, rows: Integer[np.ndarray, " B"]) -> Batch:
    """The arrays of these products; UNKNOWN gives a row that is no product."""
    batch = {"product_ids": rows.astype(np.int32)}
    for key, (array, missing) in self._arrays.items():
      batch[key] = array[rows]
      batch[key][rows == UNKNOWN] = missing
    return batch


def _longest(lists: np.ndarray, rows: np.ndarray) -> int:
  """Members of the longest list, at least 1."""
  return max(1, int((lists[rows] != UNKNOWN).sum(1).max(initial=0)))


class ProductBatches:
  """step → batch; every host makes its share of the same global batch.

  In an epoch each product of training that has a tag comes once, in an order of
  its own. A batch may end one epoch and begin the next. Of a data set that was
  extended, products whose tags are asked and tags that are still new are left
  out.

  Args:
    settings: `batch_rows` products are in a global batch.
    features: names of product features the model reads.
    host, hosts: which share of the batch this process makes.

  Attributes:
    steps_per_epoch: a fraction, as an epoch may end within a batch.
    fill: the fraction of rows that hold a product: all.
  """

  fill = 1.0

  def __init__(
    self,
    dataset: Dataset,
    settings: PipelineSettings,
    *,
    features: tuple[str, ...],
    seed: int = 0,
    host: int = 0,
    hosts: int = 1,
  ):
    self._size = settings.batch_rows
    self._share = share_of_rows(self._size, hosts)
    self._first = host * self._share
    self._seed = seed
    self._num_tags = dataset.spec.num_tags
    self._products = _tagged(dataset)
    self._rows = _Rows(dataset, features, self._products)
    self.steps_per_epoch = len(self._products) / self._size
    # The running epoch and the next, which a prefetching thread may be at.
    self._epoch = functools.lru_cache(maxsize=2)(self._make_epoch)

  def __call__(self, step: int) -> Batch:
    """The share of this host of the global batch of one step."""
    first = step * self._size + self._first
    places = np.arange(first, first + self._share)
    epochs, places = np.divmod(places, len(self._products))
    rows = np.empty(self._share, np.int64)
    for epoch in np.unique(epochs).tolist():
      here = epochs == epoch
      rows[here] = self._epoch(epoch)[places[here]]
    batch = self._rows.batch(rows)
    new = batch["target_tags"] >= self._num_tags
    batch["target_tags"][new] = UNKNOWN
    return batch

  def _make_epoch(self, number: int) -> np.ndarray:
    random = named_generator(self._seed, "batches", number)
    return random.permutation(self._products)


def product_question_batches(
  dataset: Dataset,
  rows: Integer[np.ndarray, " Q"],
  *,
  features: tuple[str, ...],
  batch_products: int,
) -> Iterator[Batch]:
  """Asks for the tags of some products, in their order.

  Besides the arrays of a training batch: `question` int32 [B], the place of
  each product among `rows`, UNKNOWN for rows that only fill up the last batch.

  Args:
    rows: of products, such as `Dataset.test_items`.
  """
  made = _Rows(dataset, features, rows)
  for begin in range(0, len(rows), batch_products):
    question = np.arange(begin, begin + batch_products, dtype=np.int32)
    question[question >= len(rows)] = UNKNOWN
    asked = np.where(question == UNKNOWN, UNKNOWN, rows[question])
    yield made.batch(asked) | {"question": question}


def _tagged(dataset: Dataset) -> np.ndarray:
  """The products of training that have a tag of training.

  Raises:
    UserError: if there is none.
  """
  tags = dataset.product.get(TAGS)
  found = np.zeros(0, np.int64)
  if tags is not None:
    tags = tags[: dataset.spec.num_items]
    trains = ((tags != UNKNOWN) & (tags < dataset.spec.num_tags)).any(1)
    asked = np.concatenate([dataset.valid_items, dataset.test_items])
    trains[asked[asked < len(trains)]] = False
    found = np.flatnonzero(trains)
  if not len(found):
    raise UserError(
      f"data '{dataset.name}'",
      "no product of training has a tag",
      "at least one",
      "lower config.data.min_tag_items or choose another source",
    )
  return found
