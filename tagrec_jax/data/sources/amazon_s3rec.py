"""The data sets of S3-Rec: Amazon Beauty, Sports, Toys, Yelp and LastFM.

Source: Zhou et al., S3-Rec, CIKM 2020.
"""

from __future__ import annotations

import dataclasses
import glob
import json
import os
from collections.abc import Iterator

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import DataSettings
from tagrec_jax.data.records import Event, Item, Record, Rejection
from tagrec_jax.data.sources.rows import opened, opened_text, row_problem, shown
from tagrec_jax.data.values import id_problem

_ATTRIBUTES = "_item2attributes.json"
_FIX = (
  "copy <name>.txt and <name>" + _ATTRIBUTES + " from the folder data of "
  "RUCAIBox/CIKM2020-S3Rec on GitHub and name their folder"
)


@dataclasses.dataclass(frozen=True)
class S3Rec:
  """Reads `<name>.txt` and `<name>_item2attributes.json`.

  A line of the first is a person and what they took, in order of time; the
  times themselves are not known. Attributes have numbers for names and become
  the tags 'attr_1', 'attr_2' and so on.

  Attributes:
    folder: where the two files are.
    name: such as 'Beauty' or 'LastFM'.
  """

  folder: str
  name: str

  @classmethod
  def from_settings(cls, settings: DataSettings) -> S3Rec:
    """The one data set of `settings.folder`.

    Raises:
      UserError: if the folder holds none or several.
    """
    found = glob.glob("*" + _ATTRIBUTES, root_dir=settings.folder or ".")
    names = sorted(file.removesuffix(_ATTRIBUTES) for file in found)
    if len(names) != 1:
      raise UserError(
        "config.data.folder",
        f"'{settings.folder}' holds {', '.join(names) or 'no data set'}",
        "one pair of files of S3-Rec",
        _FIX if not names else "give each data set a folder",
      )
    return cls(settings.folder, names[0])

  def files(self) -> list[str]:
    """The two files.

    Raises:
      UserError: saying where they come from, if one is not there.
    """
    paths = [
      os.path.join(self.folder, self.name + end)
      for end in (".txt", _ATTRIBUTES)
    ]
    for path in paths:
      if not os.path.isfile(path):
        raise UserError("config.data.folder", f"'{path}' is missing", fix=_FIX)
    return paths

  def read(self) -> Iterator[Record]:
    """Items with their tags, then every person's events."""
    sequences, attributes = self.files()
    yield from _items(attributes)
    yield from _events(sequences)


def _items(path: str) -> Iterator[Item]:
  try:
    with opened(path, encoding="utf-8") as file:
      attributes = json.load(file)
    for id, numbers in attributes.items():
      # Both data sets repeat attributes of an item.
      tags = dict.fromkeys(f"attr_{int(number)}" for number in numbers)
      yield Item(id, tags=tuple(tags))
  except (ValueError, TypeError, AttributeError, RecursionError) as error:
    found = f"not readable ({str(error)[:80]})"
    raise UserError(path, found, "item → list of attribute numbers") from error


def _events(path: str) -> Iterator[Event | Rejection]:
  with opened_text(path, "utf-8") as file:
    for number, line in enumerate(file, 1):
      if not (ids := line.split()):
        continue
      problem = row_problem(ids, len(ids))
      problem = problem or next(filter(None, map(id_problem, ids)), "")
      if len(ids) == 1:
        problem = "a person without items"
      if problem:
        yield Rejection(path, number, "", problem, shown(line.rstrip()))
        continue
      person, *items = ids
      for item in items:
        yield Event(person, item)
