"""What an evaluation found, with everything needed to read the numbers."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from typing import Any

import numpy as np

from tagrec_jax.core import files
from tagrec_jax.core.errors import StorageError
from tagrec_jax.evaluation.slices import Slice


@dataclasses.dataclass(frozen=True)
class Report:
  """Numbers and their passport.

  Attributes:
    metrics: 'recall@10' → mean over people; 'coverage@10' → fraction.
    intervals: metric → 95 % bootstrap interval; empty if not asked for.
    people: first how many were asked ('people' or 'products'), then how many of
      them are special ('unknown_targets', 'repeats', 'without_tags').
    slices: the same model on parts of the people.
    passport: data, split, protocol sentences, catalogue size, seeds, model.
    ranks_PM: int32, the places of each person's targets in the order of the
      batches, 0 for padding; M = 1 for the next item.
    who_P: whose question each of them is, where a person who is asked several
      times counts once; None where all count alike. Not kept in files.
  """

  metrics: dict[str, float]
  intervals: dict[str, tuple[float, float]]
  people: dict[str, int]
  slices: tuple[Slice, ...]
  passport: dict[str, Any]
  ranks_PM: np.ndarray
  who_P: np.ndarray | None = None

  def to_dict(self) -> dict[str, Any]:
    """Everything but arrays, as values that JSON can hold."""
    fields = {
      field.name: getattr(self, field.name)
      for field in dataclasses.fields(self)
      if field.name not in ("ranks_PM", "who_P")
    }
    fields["slices"] = [dataclasses.asdict(part) for part in self.slices]
    return fields

  def to_json(self) -> str:
    """`to_dict` as text; a NaN is refused."""
    return json.dumps(self.to_dict(), indent=1, allow_nan=False)

  @classmethod
  def load(cls, path: str | os.PathLike[str]) -> Report:
    """Reads what `save` wrote.

    Raises:
      OSError, ValueError: there is no report, or not a whole one.
    """
    told = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    told["slices"] = tuple(Slice(**part) for part in told["slices"])
    told["intervals"] = {
      name: (low, high) for name, (low, high) in told["intervals"].items()
    }
    ranks = np.load(f"{path}.ranks.npy", allow_pickle=False)
    return cls(**told, ranks_PM=ranks)

  def save(self, path: str | os.PathLike[str]) -> None:
    """Writes `path` (JSON) and, beside it, `path`.ranks.npy.

    Raises:
      StorageError: the disk did not take it; older files stay whole.
    """
    report = pathlib.Path(path)
    ranks = report.with_name(report.name + ".ranks.npy")
    part = ranks.with_name(ranks.name + ".part")
    try:
      with part.open("wb") as file:
        np.save(file, self.ranks_PM, allow_pickle=False)
      part.replace(ranks)
      files.write_json(report, self.to_dict())
    except OSError as error:
      raise StorageError(
        str(path),
        f"cannot write the report ({error.strerror})",
        "a folder with space that may be written",
        "choose another folder",
      ) from error
