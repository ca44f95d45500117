"""Products and tags that a run was extended by, kept in its folder."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from tagrec_jax.core.errors import StorageError
from tagrec_jax.core.files import write_text
from tagrec_jax.data.records import Item, Tag

_FILE = "additions.jsonl"


@dataclasses.dataclass(frozen=True)
class Additions:
  """In the order of their rows.

  Attributes:
    items, tags: clean records.
  """

  items: tuple[Item, ...] = ()
  tags: tuple[Tag, ...] = ()

  def then(self, later: Additions) -> Additions:
    """These and after them others."""
    return Additions(self.items + later.items, self.tags + later.tags)


def write(folder: pathlib.Path, additions: Additions) -> None:
  """Keeps them with a run, one record a line.

  Raises:
    StorageError: if they cannot be written.
  """
  values: list[dict[str, Any]] = [
    *({"item": _plain(item)} for item in additions.items),
    *({"tag": dataclasses.asdict(tag)} for tag in additions.tags),
  ]
  text = "".join(json.dumps(value) + "\n" for value in values)
  try:
    write_text(folder / _FILE, text)
  except OSError as error:
    raise StorageError(
      str(folder / _FILE), f"cannot be written ({error.strerror})"
    ) from error


def read(folder: pathlib.Path) -> Additions:
  """What a run was extended by; nothing if it never was.

  Raises:
    StorageError: if the file is not as it was written.
  """
  path = folder / _FILE
  try:
    text = path.read_text(encoding="ascii")
    values = [json.loads(line) for line in text.splitlines()]
    return Additions(
      tuple(_item(value["item"]) for value in values if "item" in value),
      tuple(Tag(**value["tag"]) for value in values if "tag" in value),
    )
  except FileNotFoundError:
    return Additions()
  except (OSError, ValueError, TypeError, LookupError) as error:
    raise StorageError(
      str(path),
      f"cannot be read ({error})",
      "the file as it was written",
      "extend the run again",
    ) from error


def _plain(item: Item) -> dict[str, Any]:
  """Its fields; `asdict` would copy mappings, which not all of them can be."""
  fields = {f.name: getattr(item, f.name) for f in dataclasses.fields(item)}
  return {
    name: dict(value) if isinstance(value, Mapping) else value
    for name, value in fields.items()
  }


def _item(values: dict[str, Any]) -> Item:
  sets = {name: tuple(members) for name, members in values["sets"].items()}
  return Item(**values | {"tags": tuple(values["tags"]), "sets": sets})
