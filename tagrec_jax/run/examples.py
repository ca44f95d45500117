"""A few people or products to look at, and what is recommended."""

from __future__ import annotations

import numpy as np
from rich.table import Table

from tagrec_jax import build
from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.rng import named_generator
from tagrec_jax.core.settings import Settings
from tagrec_jax.data.dataset import Dataset, Questions
from tagrec_jax.data.posts import post_question_batches, tagged
from tagrec_jax.data.products import product_question_batches
from tagrec_jax.decoding.topk import top_k
from tagrec_jax.run.measure import Scores
from tagrec_jax.serving.answers import Recommender
from tagrec_jax.serving.requests import Request

SHOWN = 5
"""Events of a history, and entries of a list."""


def table(
  settings: Settings, dataset: Dataset, scores: Scores, count: int = 3
) -> Table:
  """Those asked about are drawn by the seed, the same in every run."""
  if settings.task == "tag_item":
    return _products(settings, dataset, scores, count)
  if settings.task == "tag_post":
    return _posts(settings, dataset, scores, count)
  return _people(settings, dataset, scores, count)


def _people(
  settings: Settings, dataset: Dataset, scores: Scores, count: int
) -> Table:
  """One row a person: the newest events, the list, the tags."""
  targets = build.targets(settings)
  table = Table(title="Recommendations for three people", show_lines=True)
  table.add_column("person")
  table.add_column("took last, oldest first")
  table.add_column("recommended")
  if "tags" in targets:
    table.add_column("tags")
  rows = _drawn(len(dataset.people), count, settings.seed)
  people = [Request(dataset.people.ids[row]) for row in rows]
  recommender = Recommender(scores, dataset, settings)
  for answer in recommender.answer(people, targets=targets, k=SHOWN):
    cells = [
      answer["person"],
      "\n".join(answer["history"][-SHOWN:]),
      "\n".join(item["title"] for item in answer["items"]),
    ]
    if "tags" in targets:
      cells.append("\n".join(tag["tag"] for tag in answer["tags"]))
    table.add_row(*cells)
  return table


def _products(
  settings: Settings, dataset: Dataset, scores: Scores, count: int
) -> Table:
  """One row a product of test: what it is, its tags, the list."""
  table = Table(title="Tags for three products", show_lines=True)
  for column in ("product", "its tags", "recommended"):
    table.add_column(column)
  chosen = _drawn(len(dataset.test_items), count, settings.seed)
  rows = dataset.test_items[chosen]
  nothing = np.full((len(rows), 0), UNKNOWN, np.int32)
  (batch,) = product_question_batches(
    dataset, rows, features=settings.model.product, batch_products=len(rows)
  )
  best_BK, _ = top_k(scores(batch)["tags"], SHOWN, nothing)
  tags = dataset.all_tags.ids
  for place, row in enumerate(rows):
    own = [tags[t] for t in dataset.product["tags"][row] if t >= 0]
    table.add_row(
      dataset.titles[row],
      "\n".join(own[: 2 * SHOWN]),
      "\n".join(tags[t] for t in best_BK[place] if t >= 0),
    )
  return table


def _posts(
  settings: Settings, dataset: Dataset, scores: Scores, count: int
) -> Table:
  """One row a post of test: who, what, the tags given, the list."""
  table = Table(title="Tags for three posts", show_lines=True)
  for column in ("person", "product", "tags given", "recommended"):
    table.add_column(column)
  posts = tagged(dataset, dataset.test)
  chosen = _drawn(len(posts.people), count, settings.seed)
  posts = Questions(posts.people[chosen], posts.events[chosen])
  (batch,) = post_question_batches(
    dataset,
    posts,
    settings.pipeline,
    batch_people=len(chosen),
    moment=settings.model.moment,
    person=settings.model.person,
  )
  nothing = np.full((len(chosen), 0), UNKNOWN, np.int32)
  best_BK, _ = top_k(scores(batch)["tags"], SHOWN, nothing)
  tags, given = dataset.all_tags.ids, batch["relevant_tags"]
  for row, question in enumerate(batch["question"]):
    table.add_row(
      dataset.people.ids[posts.people[question]],
      dataset.titles[batch["target_ids"][row]],
      "\n".join(tags[t] for t in given[row] if t >= 0),
      "\n".join(tags[t] for t in best_BK[row] if t >= 0),
    )
  return table


def _drawn(size: int, count: int, seed: int) -> list[int]:
  random = named_generator(seed, "examples")
  return random.choice(size, min(count, size), replace=False).tolist()
