"""A trained run for a longer catalogue, without training it again."""

from __future__ import annotations

import os
import pathlib
from typing import Any

import jax
from rich.console import Console
from rich.table import Table

from tagrec_jax import build
from tagrec_jax.checkpoint import reader
from tagrec_jax.checkpoint.manager import Checkpoints
from tagrec_jax.core import host
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import Settings, to_dict
from tagrec_jax.data.clean import tidy_item, tidy_tag
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.extend import check_new
from tagrec_jax.data.records import Item, Tag
from tagrec_jax.data.sources.folder import read_items, read_tags
from tagrec_jax.data.sources.rows import good
from tagrec_jax.run import additions, told, trained
from tagrec_jax.run.additions import Additions
from tagrec_jax.training.grow import grow
from tagrec_jax.training.run_folder import RunFolder, open_run, versions
from tagrec_jax.training.state import TrainState, new_state


def extend(
  workdir: str,
  output: str,
  *,
  items: str = "",
  tags: str = "",
  promote: bool = False,
  checkpoint: str = "latest",
) -> Dataset:
  """Writes a run that has a row for each new product and tag.

  Args:
    workdir: of the run, which stays as it is.
    output: folder of the longer one.
    items, tags: tables of what is added.
    promote: add the data set's own new products and tags first.
    checkpoint: 'best', 'latest' or a step.

  Returns:
    The longer data set.

  Raises:
    UserError: if nothing is added or it is not new, or the folders are wrong.
  """
  old = RunFolder(pathlib.Path(workdir))
  settings = trained.read_settings(old)
  host.prepare(settings.data.cache_dir)
  before = additions.read(old.path)
  dataset = build.dataset(settings, before.items, before.tags)
  added = _added(settings, dataset, items, tags, promote)
  every = before.then(added)
  longer = build.dataset(settings, every.items, every.tags)
  with open_run(output) as folder:
    if reader.list_steps(folder.checkpoints):
      raise UserError(
        output, "found a run", "a new folder", "choose another --output"
      )
    state, meta = _state(settings, dataset, old, checkpoint)
    grown = grow(state, _shapes(settings, longer))
    additions.write(folder.path, every)
    made = versions()
    folder.describe(to_dict(settings), made)
    identity = trained.identity(settings, longer, made)
    with Checkpoints(
      folder.checkpoints, settings.checkpoint.keep, identity
    ) as checkpoints:
      checkpoints.save(meta["step"], grown, meta["progress"], meta["score"])
  _show(settings, dataset, longer, output)
  return longer


def _added(
  settings: Settings, dataset: Dataset, items: str, tags: str, promote: bool
) -> Additions:
  """What is to have rows, in their order."""
  own = Additions(
    tuple(Item(id) for id in dataset.new_items.ids),
    tuple(Tag(id) for id in dataset.new_tags.ids),
  )
  # Pictures are read again whenever the run is, from wherever that is done.
  table, place_km = os.path.abspath(items), settings.data.place_km
  read = Additions(
    tuple(map(tidy_item, good(read_items(table, place_km)))) if items else (),
    tuple(map(tidy_tag, good(read_tags(tags)))) if tags else (),
  )
  added = own.then(read) if promote else read
  if not added.items and not added.tags:
    raise UserError(
      "flags",
      "found nothing to add",
      "products or tags",
      "name a table in --items or --tags, or set --promote",
    )
  check_new(dataset, added.items, added.tags)
  return added


def _state(
  settings: Settings, dataset: Dataset, folder: RunFolder, which: str
) -> tuple[TrainState, dict[str, Any]]:
  """The whole state of a checkpoint, on one device, and its meta."""
  step = reader.find_step(
    folder.checkpoints, int(which) if which.isdecimal() else which
  )
  meta = reader.read_meta(folder.checkpoints, step)
  trained.check(meta, dataset)
  path = folder.checkpoints / str(step)
  return reader.restore_arrays(path, _shapes(settings, dataset), meta), meta


def _shapes(settings: Settings, dataset: Dataset) -> TrainState:
  recipe = build.recipe(settings, build.model(settings, dataset))
  return jax.eval_shape(lambda: new_state(recipe))


def _show(
  settings: Settings, dataset: Dataset, longer: Dataset, output: str
) -> None:
  table = Table(title=f"{settings.name}: rows")
  for column in ("", "before", "now", "still new"):
    table.add_column(column, justify="right")
  for name in ("items", "tags"):
    sizes = [len(getattr(data, name)) for data in (dataset, longer)]
    new = len(getattr(longer, f"new_{name}"))
    table.add_row(name, *(f"{size:,}" for size in (*sizes, new)))
  console = Console()
  console.print(table)
  told.next_commands(console, settings, output)
