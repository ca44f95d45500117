"""The files that records name."""

from __future__ import annotations

import os
from collections.abc import Iterable

from tagrec_jax.data.records import Item, Record


def media_files(records: Iterable[Record]) -> list[str]:
  """The pictures and clips of products that are there, each once.

  Prepared data depends on their content as on that of the tables.
  """
  named = {
    path
    for record in records
    if isinstance(record, Item)
    for path in (record.image, record.audio)
    if path
  }
  return sorted(filter(os.path.isfile, named))
