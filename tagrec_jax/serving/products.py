"""Tags for products that the data set need not hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.settings import Settings
from tagrec_jax.data.clean import tidy_item
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.products import product_question_batches
from tagrec_jax.data.records import Item
from tagrec_jax.data.spec import TAGS, Part
from tagrec_jax.decoding.constraints import Constraints, constrained_top_k
from tagrec_jax.serving.pretrained import TOKENS, VECTORS, with_vectors

Answer = dict[str, Any]


class ProductTagger:
  """Answers with a trained model of the task 'tag_item'.

  Args:
    scores: batch → target → scores [B, C], the model with its parameters.
    dataset: the prepared data set the model was trained on: its encodings read
      new products as they read those of training.
    settings: of the run.
    allowed, exclusive: names and patterns of tags, see `Constraints.of`.
    chosen: scores [B, C] → bool [B, C], which tags to give at all; None: any.

  Attributes:
    tags: all that may be given, new ones too.
  """

  def __init__(
    self,
    scores: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    dataset: Dataset,
    settings: Settings,
    *,
    allowed: Sequence[str] = ("*",),
    exclusive: Sequence[str] = (),
    chosen: Callable[..., Any] | None = None,
  ):
    self._scores = scores
    self._dataset = dataset
    self._settings = settings
    self.tags = dataset.all_tags.ids
    self._rules = Constraints.of(
      self.tags, allowed=allowed, exclusive=exclusive
    )
    self._chosen = chosen

  def answer(self, items: Sequence[Item], *, k: int = 10) -> Iterator[Answer]:
    """One answer for each product, in order.

    Args:
      k: the most tags of an answer.

    Yields:
      {"item": id, "title", "tags": [{"tag", "score"}]}; of a model that writes
      sets also the "probability" of the best one.
    """
    size = min(len(items), self._settings.evaluation.batch_people)
    if not size:
      return
    batches = product_question_batches(
      self._as_dataset([tidy_item(item) for item in items]),
      np.arange(len(items), dtype=np.int32),
      features=self._settings.model.product,
      batch_products=size,
    )
    for batch in batches:
      found = self._scores(batch)
      ids_BK, scores_BK = self._best(found["tags"], k)
      for place, row in enumerate(batch["question"]):
        if row == UNKNOWN:
          continue
        answer = self._write(items[row], ids_BK[place], scores_BK[place])
        if "probability" in found:
          answer["probability"] = round(float(found["probability"][place]), 4)
        yield answer

  def _best(self, scores_BC: Any, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Tags and their scores; UNKNOWN where the list has ended."""
    size = scores_BC.shape[1]
    nothing = jnp.full((len(scores_BC), 0), UNKNOWN, jnp.int32)
    best = constrained_top_k(scores_BC, min(k, size), nothing, self._rules)
    ids_BK, scores_BK = map(np.asarray, best)
    if self._chosen is not None:
      chosen_BC = np.asarray(self._chosen(scores_BC))
      rows_B1 = np.arange(len(ids_BK))[:, None]
      given_BK = (ids_BK >= 0) & chosen_BC[rows_B1, np.maximum(ids_BK, 0)]
      ids_BK = np.where(given_BK, ids_BK, UNKNOWN)
    return ids_BK, scores_BK

  def _as_dataset(self, items: Sequence[Item]) -> Dataset:
    """The products asked about, in place of those of the data set."""
    encodings = {
      e.feature.name: e
      for e in self._dataset.encodings
      if e.feature.part == Part.PRODUCT
    }
    names = {TAGS, *self._settings.model.product} - {VECTORS}
    pretrained = bool(self._settings.data.pretrained_text)
    names |= {TOKENS} if pretrained else set()
    product = {name: encodings[name].encode(items) for name in names}
    # The tags have been read when the model was prepared.
    asked = dataclasses.replace(self._dataset, product=product, tag={})
    return with_vectors(asked, self._settings.data) if pretrained else asked

  def _write(
    self, item: Item, ids_K: np.ndarray, scores_K: np.ndarray
  ) -> Answer:
    return {
      "item": item.id,
      "title": item.title,
      "tags": [
        {"tag": self.tags[id], "score": round(float(score), 4)}
        for id, score in zip(ids_K, scores_K, strict=True)
        if id != UNKNOWN
      ],
    }
