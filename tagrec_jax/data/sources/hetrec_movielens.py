"""Tags that people of MovieLens gave to films: HetRec 2011, 3-core.

Source: Cantador, Brusilovsky and Kuflik, Second Workshop on Information
Heterogeneity and Fusion in Recommender Systems, RecSys 2011. For research only.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from typing import Any

from tagrec_jax.core.settings import DataSettings
from tagrec_jax.data import values
from tagrec_jax.data.records import Event, Record
from tagrec_jax.data.sources.movielens_fields import posts
from tagrec_jax.data.sources.rows import Row, delimited, first_layout, records

_LAYOUTS = {"core 3": ("ml_core3_train", "ml_core3_test")}
_FIX = (
  "copy both files from the folder of data of SamHaoYuan/pitf on GitHub and "
  "name their folder"
)
_COLUMNS = ("person", "film", "tag", "milliseconds")


@dataclasses.dataclass(frozen=True)
class HetRecMovieLens:
  """Reads `ml_core3_train` and `ml_core3_test`; films and tags are numbers.

  A line is a person, a film, a tag and the time in milliseconds, parted by
  tabs. Everything a person gave a film is one event, at the time of the last of
  its tags. The test posts are the latest of their people, so they are what
  'leave_one_out' asks for: of two posts in one second, the later line counts as
  the later one.

  Attributes:
    folder: where the files are.
  """

  folder: str

  @classmethod
  def from_settings(cls, settings: DataSettings) -> HetRecMovieLens:
    return cls(settings.folder)

  @property
  def name(self) -> str:
    return "hetrec_movielens"

  def files(self) -> list[str]:
    """The two files.

    Raises:
      UserError: saying where they come from, if one is not there.
    """
    layout = first_layout(self.folder, _LAYOUTS, _FIX)
    return [os.path.join(self.folder, file) for file in _LAYOUTS[layout]]

  def read(self) -> Iterator[Record]:
    """Events of training, then of test."""
    for path in self.files():
      # A post never spans both files, whatever they hold.
      yield from posts(records(delimited(path, "\t", _COLUMNS), _tagging))


def _tagging(row: Row) -> Event:
  return Event(
    person=row.need("person", values.read_id),
    item=row.need("film", values.read_id),
    time=row.need("milliseconds", _seconds),
    tags=(row.need("tag", values.read_id),),
  )


def _seconds(value: Any) -> int:
  text = str(value).strip()
  if not (text.isascii() and text.isdecimal() and len(text) <= 19):
    raise values.BadValue("not milliseconds")
  seconds = int(text) // 1000
  if problem := values.time_problem(seconds):
    raise values.BadValue(problem)
  return seconds
