"""What every peer that tags products reads and writes, and its one frame.

A peer sees the same products, tags and held-out questions as the project's own
model, in plain files, and needs nothing of it but numpy.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.benchmarks.child import Run

KEPT = 100
"""Tags kept of each answer; what is read of it is the first five."""

Predict = Callable[[Sequence[str]], tuple[np.ndarray, np.ndarray]]
"""Documents → tags int32 [Q, K], best first, padded by -1, and scores [Q, K].
K is at most KEPT."""

_WORD = re.compile(r"\w+")


@dataclasses.dataclass(frozen=True)
class TagProducts:
  """Products of training first, then those that are asked.

  Attributes:
    texts: title and description of each product.
    fields: of each product, everything else that the model is given.
    offsets, tags: int64 [C + 1] and int32, CSR: tags offsets[i]:offsets[i + 1]
      are those of product i of training.
    num_tags: T.
    asked: split → int64 [Q], the products whose tags are asked.
  """

  texts: Sequence[str]
  fields: Sequence[Sequence[str]]
  offsets: np.ndarray
  tags: np.ndarray
  num_tags: int
  asked: Mapping[str, np.ndarray]

  @property
  def num_items(self) -> int:
    return len(self.offsets) - 1

  def documents(self, inputs: str) -> list[str]:
    """Words in small letters, and the other fields as words of their own.

    Args:
      inputs: 'text', or 'all' with the other fields.
    """
    words = [" ".join(_WORD.findall(text.lower())) for text in self.texts]
    if inputs == "text":
      return words
    return [
      " ".join([text, *fields])
      for text, fields in zip(words, self.fields, strict=True)
    ]

  def write(self, folder: pathlib.Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "products.jsonl").open("w", encoding="utf-8") as file:
      for text, fields in zip(self.texts, self.fields, strict=True):
        file.write(json.dumps({"text": text, "fields": list(fields)}) + "\n")
    asked: Any = {f"asked_{split}": rows for split, rows in self.asked.items()}
    np.savez(
      folder / "tags.npz",
      offsets=self.offsets,
      tags=self.tags,
      num_tags=np.int64(self.num_tags),
      **asked,
    )

  @classmethod
  def read(cls, folder: str | pathlib.Path) -> TagProducts:
    path = pathlib.Path(folder)
    with (path / "products.jsonl").open(encoding="utf-8") as file:
      lines = [json.loads(line) for line in file]
    with np.load(path / "tags.npz") as file:
      arrays = {name: file[name] for name in file.files}
    return cls(
      texts=[line["text"] for line in lines],
      fields=[line["fields"] for line in lines],
      offsets=arrays["offsets"],
      tags=arrays["tags"],
      num_tags=int(arrays["num_tags"]),
      asked={
        name.removeprefix("asked_"): rows
        for name, rows in arrays.items()
        if name.startswith("asked_")
      },
    )

  def answer(
    self,
    train: Callable[[Sequence[str], TagProducts], Predict],
    inputs: str,
    answers: str,
  ) -> Run:
    """Trains a peer, lets it answer, and keeps what it said.

    All the work is done before this returns; a turn only tells about it.

    Args:
      train: documents of training → how to ask.
      inputs: see `documents`.
      answers: the npz file to write, see `keep_answers`.
    """
    documents = self.documents(inputs)
    began = time.perf_counter()
    predict = train(documents[: self.num_items], self)
    seconds = time.perf_counter() - began
    keep_answers(
      answers,
      {
        split: predict([documents[row] for row in rows])
        for split, rows in self.asked.items()
      },
    )
    return lambda turns: {"work": turns, "training_seconds": seconds}


def best(scores_QT: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """The first tags of each row, ties in the order of their ids."""
  ids_QK = np.argsort(-scores_QT, axis=1, kind="stable")[:, :KEPT]
  return ids_QK.astype(np.int32), np.take_along_axis(scores_QT, ids_QK, 1)


def rows_of(
  lists: Iterable[Sequence[tuple[int, float]]],
) -> tuple[np.ndarray, np.ndarray]:
  """Lists of (tag, score), best first → the arrays that `Predict` gives."""
  kept = [list(pairs)[:KEPT] for pairs in lists]
  ids_QK = np.full((len(kept), KEPT), -1, np.int32)
  scores_QK = np.full((len(kept), KEPT), -np.inf, np.float32)
  for row, pairs in enumerate(kept):
    if pairs:
      ids_QK[row, : len(pairs)], scores_QK[row, : len(pairs)] = zip(
        *pairs, strict=True
      )
  return ids_QK, scores_QK


def keep_answers(
  path: str, answers: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> None:
  """Writes tags and scores of each split, as `Predict` gives them."""
  arrays: Any = {}
  for split, (ids_QK, scores_QK) in answers.items():
    arrays |= {f"{split}_ids": ids_QK, f"{split}_scores": scores_QK}
  np.savez(path, **arrays)


def read_answers(path: pathlib.Path, split: str) -> np.ndarray:
  """The tags that were named, best first, int32 [Q, K]."""
  with np.load(path) as file:
    return file[f"{split}_ids"]
