"""A few people to look at: what they took, and what they are told to take."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from tagrec_jax.core.rng import named_generator
from tagrec_jax.core.settings import Settings
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.serving.answers import Recommender
from tagrec_jax.serving.requests import Request


def example_people(
  dataset: Dataset, settings: Settings, count: int
) -> list[str]:
  """Ids of people drawn by the seed, the same in every run."""
  random = named_generator(settings.seed, "examples")
  count = min(count, len(dataset.people))
  rows = random.choice(len(dataset.people), count, replace=False)
  return [dataset.people.ids[row] for row in rows]


def examples_table(
  recommender: Recommender,
  people: Sequence[str],
  *,
  targets: Sequence[str],
  shown: int = 5,
) -> Table:
  """One row a person: the newest events, the list, the tags."""
  table = Table(title="Recommendations for three people", show_lines=True)
  table.add_column("person")
  table.add_column("took last, oldest first")
  table.add_column("recommended")
  if "tags" in targets:
    table.add_column("tags")
  answers = recommender.answer(
    [Request(person) for person in people], targets=targets, k=shown
  )
  for answer in answers:
    cells = [
      answer["person"],
      "\n".join(answer["history"][-shown:]),
      "\n".join(item["title"] for item in answer["items"]),
    ]
    if "tags" in targets:
      cells.append("\n".join(tag["tag"] for tag in answer["tags"]))
    table.add_row(*cells)
  return table
