"""What was in the batches of steps that were not applied."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tagrec_jax.core.log import warn
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.vocab import Vocabulary

_PRODUCTS = ("product_ids", "history_ids", "target_ids")
_PEOPLE = ("person_ids",)


class SkippedSteps:
  """Adds a line to a JSONL file for each step: the ids in its batch.

  Args:
    batches: its number → batch, a pure function: it is made again here.
  """

  def __init__(
    self,
    path: pathlib.Path,
    dataset: Dataset,
    batches: Callable[[int], Mapping[str, np.ndarray]],
  ):
    self._path = path
    self._dataset = dataset
    self._batches = batches

  def __call__(self, steps: Mapping[int, int]) -> None:
    """Args: steps: each step → the number of its batch."""
    lines = [json.dumps(self._told(*pair)) + "\n" for pair in steps.items()]
    try:
      with self._path.open("a", encoding="utf-8") as file:
        file.writelines(lines)
    except OSError as error:
      warn(f"{self._path}: cannot be written ({error.strerror})")

  def _told(self, step: int, number: int) -> dict[str, int | list[str]]:
    batch, data = self._batches(number), self._dataset
    return {
      "step": step,
      "batch": number,
      "products": _ids(batch, _PRODUCTS, data.all_items),
      "people": _ids(batch, _PEOPLE, data.people),
    }


def _ids(
  batch: Mapping[str, np.ndarray], names: Sequence[str], known: Vocabulary
) -> list[str]:
  rows = {row for name in names if name in batch for row in batch[name].flat}
  return [known.ids[row] for row in sorted(rows) if 0 <= row < len(known)]
