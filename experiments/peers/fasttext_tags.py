"""fastText: averaged vectors of words and bigrams, one logistic per tag.

Source: Joulin et al., 2017, 'Bag of tricks for efficient text classification';
fasttext-numpy2-wheel 0.9.2, its documented interface.
"""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

import fasttext
import numpy as np

from experiments.benchmarks import child
from experiments.benchmarks.child import Run
from experiments.peers.tag_products import (
  KEPT,
  Predict,
  TagProducts,
  rows_of,
)

_LABEL = "__label__"
_LOWEST = 0.01  # learning rate


def tags(
  folder: str,
  inputs: str,
  answers: str,
  *,
  loss: str = "ova",
  width: int = 100,
  epochs: int = 25,
  learning_rate: float = 0.5,
  words: int = 2,
) -> Run:
  """Trains and answers.

  Args:
    folder: of `TagProducts.write`.
    words: of the longest run that has a vector.
  """

  def train(documents: Sequence[str], products: TagProducts) -> Predict:
    with tempfile.TemporaryDirectory() as scratch:
      path = pathlib.Path(scratch, "train.txt")
      path.write_text(_lines(documents, products), encoding="utf-8")
      model = _trained(
        str(path),
        learning_rate,
        loss=loss,
        dim=width,
        epoch=epochs,
        wordNgrams=words,
        minCount=2,
        thread=child.threads(),
        verbose=0,
      )

    def predict(documents: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
      named, scores = model.predict(list(documents), k=KEPT)
      return rows_of(
        [
          (int(name.removeprefix(_LABEL)), float(score))
          for name, score in zip(*row, strict=True)
        ]
        for row in zip(named, scores, strict=True)
      )

    return predict

  return TagProducts.read(folder).answer(train, inputs, answers)


def _trained(path: str, learning_rate: float, **options: Any) -> Any:
  """With half the learning rate, again and again, while weights are lost.

  On small data sets fastText ends with 'Encountered NaN' at rates that are best
  on others.
  """
  try:
    return fasttext.train_supervised(path, lr=learning_rate, **options)
  except RuntimeError as error:
    if "NaN" not in str(error) or learning_rate < _LOWEST:
      raise
    return _trained(path, learning_rate / 2, **options)


def _lines(documents: Sequence[str], products: TagProducts) -> str:
  """fastText's input: the tags of a product, then its words."""
  lines = []
  for row, document in enumerate(documents):
    first, last = products.offsets[row : row + 2]
    named = (f"{_LABEL}{tag}" for tag in products.tags[first:last])
    lines.append(" ".join([*named, document.replace(_LABEL, "")]))
  return "\n".join(lines) + "\n"
