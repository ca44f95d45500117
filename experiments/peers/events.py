"""What every peer reads: the prepared events as plain arrays in one file.

A peer sees the same people, products and order as the project's own model, and
needs nothing of it but numpy.
"""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

from tagrec_jax.data.dataset import Dataset


@dataclasses.dataclass(frozen=True)
class Events:
  """The fields of `Dataset` that matter here, with the same names.

  Attributes:
    offsets: int64 [P + 1]; events of person p are offsets[p]:offsets[p + 1].
    items: int32 [E]; -1 for products that training never saw.
    train_ends: int64 [P].
    test_people, test_events: int64 [Q]; who is asked for which event.
    num_items: C.
  """

  offsets: np.ndarray
  items: np.ndarray
  train_ends: np.ndarray
  test_people: np.ndarray
  test_events: np.ndarray
  num_items: int

  @classmethod
  def read(cls, path: str | pathlib.Path) -> Events:
    with np.load(path) as file:
      arrays = {name: file[name] for name in file.files}
    return cls(**arrays | {"num_items": int(arrays["num_items"])})

  def training(self, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of everyone with a question, padded by -1.

    Returns:
      int64 [N, longest] twice: the newest events, and the ones after each.
    """
    starts = self.offsets[:-1] + 1  # the first event has nothing before it
    asks = np.flatnonzero(self.train_ends > starts)
    ends = self.train_ends[asks]
    first = np.maximum(starts[asks], ends - longest)
    return (
      padded(self.items, first - 1, ends - 1, longest),
      padded(self.items, first, ends, longest),
    )

  def questions(self, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """What is known of everyone asked, and everything they had.

    Returns:
      int64 [Q, longest], the newest events, and [Q, H], all of them; padded by
      -1 on the right.
    """
    starts, ends = self.offsets[self.test_people], self.test_events
    first = np.maximum(starts, ends - longest)
    return (
      padded(self.items, first, ends, longest),
      padded(self.items, starts, ends, int((ends - starts).max())),
    )


def write(dataset: Dataset, path: pathlib.Path) -> None:
  """Keeps what peers read of a data set."""
  np.savez(
    path,
    offsets=dataset.events.offsets,
    items=dataset.events.items,
    train_ends=dataset.train_ends,
    test_people=dataset.test.people.astype(np.int64),
    test_events=dataset.test.events,
    num_items=np.int64(dataset.spec.num_items),
  )


def padded(
  values: np.ndarray, first: np.ndarray, last: np.ndarray, width: int
) -> np.ndarray:
  """The slices values[first:last] as rows of one int64 array."""
  place = first[:, None] + np.arange(width)
  inside = place < last[:, None]
  return np.where(inside, values[np.where(inside, place, 0)], -1).astype(
    np.int64
  )
