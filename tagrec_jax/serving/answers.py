"""Ranked lists for people: known ones, new ones, and nobody in particular."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.settings import Settings
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.questions import question_batches
from tagrec_jax.decoding.tiles import rows_of, top_k
from tagrec_jax.serving.people import Group, History, People
from tagrec_jax.serving.requests import Request, check

Answer = dict[str, Any]


class Recommender:
  """Answers requests with a trained model.

  A request becomes what an evaluation question is, see `People`, so the model
  is asked exactly as it was measured.

  Args:
    scores: batch → target → `Rows` or scores [B, C], the model with its
      parameters.
    dataset: the prepared data set the model was trained on.
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
    self._people = People(dataset, settings.evaluation.batch_people)

  def answer(
    self,
    requests: Sequence[Request],
    *,
    targets: Sequence[str] = ("items",),
    k: int = 10,
    exclude_seen: bool = True,
  ) -> Iterator[Answer]:
    """One answer for each request, in order.

    Args:
      targets: 'items', 'tags' or both, among those the model was trained for.
      k: length of each list.
      exclude_seen: leave out what the history holds; never applies to tags.

    Yields:
      {"person", "history": titles, "unknown": ids not in the catalogue,
      "items": [{"id", "title", "score"}], "tags": [{"tag", "score"}]}.

    Raises:
      UserError: a person the data set does not know, without a history; a
        context it does not have; a product or tags, which posts have.
    """
    check(requests, posts=False)
    for group in self._people.groups(requests):
      yield from self._answer_group(group, targets, k, exclude_seen)

  def _answer_group(
    self, group: Group, targets: Sequence[str], k: int, exclude_seen: bool
  ) -> Iterator[Answer]:
    (batch,) = question_batches(
      group.dataset,
      group.questions,
      self._settings.pipeline,
      batch_people=group.size,
      moment=self._settings.model.moment,
      person=self._settings.model.person,
    )
    scores = self._scores(batch)
    nothing = np.full((group.size, 0), UNKNOWN, np.int32)
    seen = batch["seen_ids"] if exclude_seen else nothing
    lists = {
      target: top_k(
        rows_of(scores[target]),
        k,
        seen if target == "items" else nothing,
        self._settings.evaluation.approximate_recall,
      )
      for target in targets
    }
    # Rows are not in the order of requests.
    rows = np.argsort(batch["question"][: len(group.requests)])
    for row, request, history in zip(
      rows, group.requests, group.histories, strict=True
    ):
      found = {t: (i[row], s[row]) for t, (i, s) in lists.items()}
      yield self._write(request, history, found)

  def _write(
    self,
    request: Request,
    history: History,
    found: Mapping[str, tuple[Any, Any]],
  ) -> Answer:
    items, titles = self._dataset.all_items, self._dataset.titles
    rows = [(taken.item, items.index(taken.item)) for taken in history]
    answer: Answer = {
      "person": request.person,
      "history": [titles[row] for _, row in rows if row >= 0],
      "unknown": [id for id, row in rows if row < 0 and id],
    }
    for target, (indices, scores) in found.items():
      best = [
        (int(i), round(float(s), 4))
        for i, s in zip(np.asarray(indices), np.asarray(scores), strict=True)
        if i >= 0
      ]
      if target == "items":
        answer["items"] = [
          {"id": items.ids[i], "title": titles[i], "score": score}
          for i, score in best
        ]
      else:
        tags = self._dataset.all_tags.ids
        answer["tags"] = [{"tag": tags[i], "score": s} for i, s in best]
    return answer
