"""What a run says of itself before and after the work."""

from __future__ import annotations

import shlex

import jax
from rich.console import Console
from rich.table import Table

from tagrec_jax import build
from tagrec_jax.core.settings import Settings
from tagrec_jax.data.dataset import Dataset


def data_table(settings: Settings, dataset: Dataset) -> Table:
  """What there is to learn from and to be asked about."""
  table = Table(title=f"{settings.name}: {dataset.name}", show_header=False)
  about = _products if settings.task == "tag_item" else _people
  for name, fact in about(settings, dataset).items():
    table.add_row(name, fact)
  table.add_row("devices", f"{jax.device_count()} ({jax.default_backend()})")
  return table


def _people(settings: Settings, dataset: Dataset) -> dict[str, str]:
  events, people = len(dataset.events.items), len(dataset.people)
  return {
    "people": f"{people:,}",
    "products": f"{len(dataset.items):,}{_new(len(dataset.new_items))}",
    "events": f"{events:,} ({events / max(people, 1):.1f} a person)",
    "tags": f"{len(dataset.tags):,}{_new(len(dataset.new_tags))}",
    "split": f"{settings.data.split}: {len(dataset.valid.people):,} valid,"
    f" {len(dataset.test.people):,} test",
  }


def _products(settings: Settings, dataset: Dataset) -> dict[str, str]:
  rows = dataset.product["tags"][: len(dataset.items)]
  given = (rows >= 0).sum() / max(len(rows), 1)
  return {
    "products": f"{len(dataset.items):,} ({given:.1f} tags each)",
    "tags": f"{len(dataset.tags):,}{_new(len(dataset.new_tags))}",
    "split": f"by group: {len(dataset.valid_items):,} valid,"
    f" {len(dataset.test_items):,} test",
    "read": ", ".join(settings.model.product),
  }


def _new(count: int) -> str:
  return f" and {count:,} new" if count else ""


def next_commands(console: Console, settings: Settings, workdir: str) -> None:
  """Prints what to try with a finished run."""
  if settings.task == "tag_item":
    ask = f"{command(workdir, 'recommend')} --products=FILE.jsonl --top_k=5"
    again = f"{command(workdir, 'evaluate')} --split=valid"
  elif settings.task == "tag_post":
    ask = f"{command(workdir, 'recommend')} --person=ID --item=ID --top_k=5"
    again = command(workdir, "evaluate")
  else:
    targets = ",".join(build.targets(settings))
    ask = f"{command(workdir, 'recommend')} --targets={targets} --top_k=5"
    again = f"{command(workdir, 'evaluate')} --protocols=strict,as_s3rec"
  board = f"tensorboard --logdir={shlex.quote(workdir)}"
  # A command is to be copied whole, so it is not wrapped.
  console.print(
    "\n".join(["Go on:", f"  {ask}", f"  {again}", f"  {board}"]),
    soft_wrap=True,
    highlight=False,
  )


def command(workdir: str, name: str = "train --config=...") -> str:
  """One of the project's commands for this run."""
  return f"python -m experiments.{name} --workdir={shlex.quote(workdir)}"
