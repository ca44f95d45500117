"""The tags that a person gives a product: known people, and new ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import Settings
from tagrec_jax.data.clean import tidy_tags
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.pipeline import Batch
from tagrec_jax.data.posts import ProductTags, post_question_batches
from tagrec_jax.decoding.constraints import Constraints, constrained_top_k
from tagrec_jax.serving.people import Group, History, People
from tagrec_jax.serving.requests import Request, check

Answer = dict[str, Any]


class PostTagger:
  """Answers with a trained model of the task 'tag_post'.

  A request becomes what an evaluation question is, see `People`, so the model
  is asked exactly as it was measured.

  Args:
    scores: batch → target → scores [B, C], the model with its parameters.
    dataset: the prepared data set the model was trained on.
    settings: of the run.
    allowed, exclusive: names and patterns of tags, see `Constraints.of`.
  """

  def __init__(
    self,
    scores: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    dataset: Dataset,
    settings: Settings,
    *,
    allowed: Sequence[str] = ("*",),
    exclusive: Sequence[str] = (),
  ):
    self._rules = Constraints.of(
      dataset.all_tags.ids, allowed=allowed, exclusive=exclusive
    )
    self._scores = scores
    self._dataset = dataset
    self._settings = settings
    self._people = People(dataset, settings.evaluation.batch_people)
    self._told = ProductTags(dataset, settings.pipeline.product_tags)
    given = dataset.assignments
    self._trained = given.ends > given.offsets[:-1]

  def answer(
    self, requests: Sequence[Request], *, k: int = 10
  ) -> Iterator[Answer]:
    """One answer for each request, in order.

    Args:
      k: length of each list.

    Yields:
      {"person", "item", "title", "tags": [{"tag", "score"}], "copied":
      {"person": tags, "product": tags}, "unknown": ids and tags of the history
      that the data set does not have}. Of the tags given, "copied" names those
      that the model could copy from what the person gave before, and from what
      the product was given most often; a tag may be both, or neither.

    Raises:
      UserError: a product or person the data set does not know, without a
        history; a context it does not have.
    """
    check(requests, posts=True)
    for request in requests:
      if request.item not in self._dataset.all_items:
        raise UserError(
          "item",
          f"'{request.item}' is not in the data set",
          "the id of a product",
          "add it to the data, it need not be one that somebody tagged",
        )
    for group in self._people.groups(requests):
      yield from self._answer_group(group, k)

  def batch(self, group: Group) -> Batch:
    """The questions of one group."""
    (batch,) = post_question_batches(
      group.dataset,
      group.questions,
      self._settings.pipeline,
      batch_people=group.size,
      moment=self._settings.model.moment,
      person=self._settings.model.person,
      product_tags=self._told,
    )
    # People of a group have no rows of their own in what was trained.
    rows = self._dataset.people.indices(r.person for r in group.requests)
    rows = np.where((rows >= 0) & self._trained[rows], rows, UNKNOWN)
    row_B1 = rows[batch["question"]].astype(np.int32)[:, None]
    there_BS = batch["history_segments"] > 0
    return batch | {"person_ids": np.where(there_BS, row_B1, UNKNOWN)}

  def _answer_group(self, group: Group, k: int) -> Iterator[Answer]:
    batch = self.batch(group)
    nothing = jnp.full((group.size, 0), UNKNOWN, jnp.int32)
    scores_BC = jnp.asarray(self._scores(batch)["tags"])
    best = constrained_top_k(scores_BC, k, nothing, self._rules)
    ids_BK, scores_BK = map(np.asarray, best)
    # Rows are not in the order of requests.
    rows = np.argsort(batch["question"][: len(group.requests)])
    names = self._dataset.all_tags.ids
    for row, request, history in zip(
      rows, group.requests, group.histories, strict=True
    ):
      told = batch["product_tags"][row, batch["last"][row]]
      sources = {"person": batch["history_tags"][row], "product": told}
      ids_K = ids_BK[row][ids_BK[row] >= 0]
      yield {
        "person": request.person,
        "item": request.item,
        "title": self._dataset.titles[
          self._dataset.all_items.index(request.item)
        ],
        "tags": [
          {"tag": names[id], "score": round(float(score), 4)}
          for id, score in zip(ids_K, scores_BK[row], strict=False)
        ],
        "copied": {
          source: [names[id] for id in ids_K if id in ids]
          for source, ids in sources.items()
        },
        "unknown": self._unknown(history),
      }

  def _unknown(self, history: History) -> list[str]:
    ids, tags = self._dataset.all_items, self._dataset.all_tags
    return [
      *(t.item for t in history if t.item and t.item not in ids),
      *(
        tag
        for taken in history
        for tag in tidy_tags(taken.tags)
        if tag not in tags
      ),
    ]
