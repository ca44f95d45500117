"""Tags for products that the data set need not hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.settings import Settings
from tagrec_jax.data.clean import tidy_item
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.products import product_question_batches
from tagrec_jax.data.records import Item
from tagrec_jax.data.spec import TAGS, Part
from tagrec_jax.decoding.topk import top_k

Answer = dict[str, Any]


class ProductTagger:
  """Answers with a trained model of the task 'tag_item'.

  Args:
    scores: batch → target → scores [B, C], the model with its parameters.
    dataset: the prepared data set the model was trained on: its encodings read
      new products as they read those of training.
    settings: of the run.
  """

  def __init__(
    self,
    scores: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    dataset: Dataset,
    settings: Settings,
  ):
    self._scores = scores
    self._dataset = dataset
    self._settings = settings
    self._tags = (*dataset.tags.ids, *dataset.new_tags.ids)

  def answer(self, items: Sequence[Item], *, k: int = 10) -> Iterator[Answer]:
    """One answer for each product, in order.

    Args:
      k: length of each list.

    Yields:
      {"item": id, "title", "tags": [{"tag", "score"}]}.
    """
    asked = self._as_dataset([tidy_item(item) for item in items])
    batches = product_question_batches(
      asked,
      np.arange(len(items), dtype=np.int32),
      features=self._settings.model.product,
      batch_products=min(len(items), self._settings.evaluation.batch_people),
    )
    for batch in batches:
      scores_BC = self._scores(batch)["tags"]
      nothing = np.full((len(scores_BC), 0), UNKNOWN, np.int32)
      best = zip(*map(np.asarray, top_k(scores_BC, k, nothing)), strict=True)
      for row, (ids_K, scores_K) in zip(batch["question"], best, strict=True):
        if row != UNKNOWN:
          yield self._write(items[row], ids_K, scores_K)

  def _as_dataset(self, items: Sequence[Item]) -> Dataset:
    """The products asked about, in place of those of the data set."""
    encodings = {
      e.feature.name: e
      for e in self._dataset.encodings
      if e.feature.part == Part.PRODUCT
    }
    names = {TAGS, *self._settings.model.product}
    product = {name: encodings[name].encode(items) for name in names}
    return dataclasses.replace(self._dataset, product=product)

  def _write(
    self, item: Item, ids_K: np.ndarray, scores_K: np.ndarray
  ) -> Answer:
    return {
      "item": item.id,
      "title": item.title,
      "tags": [
        {"tag": self._tags[id], "score": round(float(score), 4)}
        for id, score in zip(ids_K, scores_K, strict=True)
        if id != UNKNOWN
      ],
    }
