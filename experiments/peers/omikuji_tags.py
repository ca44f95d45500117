"""Omikuji: trees of linear classifiers over groups of tags.

Source: Prabhu et al., 2018 (Parabel); Khandagale et al., 2019 (Bonsai);
omikuji 0.5.2, its documented interface.
"""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import omikuji
from sklearn.datasets import dump_svmlight_file

from experiments.benchmarks import child
from experiments.benchmarks.child import Run
from experiments.peers import tf_idf
from experiments.peers.tag_products import (
  KEPT,
  Predict,
  TagProducts,
  rows_of,
)

_PRESETS: dict[str, dict[str, Any]] = {
  "parabel": {},
  "bonsai": {"cluster_k": 100, "cluster_balanced": False},
}


def tags(
  folder: str,
  inputs: str,
  answers: str,
  *,
  preset: str,
  words: int = 2,
  rarest: int = 2,
  beam: int = 30,
  **changes: Any,
) -> Run:
  """Trains and answers.

  Args:
    folder: of `TagProducts.write`.
    preset: 'parabel' or 'bonsai'.
    words, rarest: see `tf_idf.vectorizer`.
    beam: branches of a tree that are followed.
    changes: of Omikuji's own settings, by their names.
  """

  def train(documents: Sequence[str], products: TagProducts) -> Predict:
    vectorizer, rows = tf_idf.trained(documents, words, rarest)
    settings = omikuji.Model.default_hyper_param()
    for name, value in (_PRESETS[preset] | changes).items():
      setattr(settings, name, value)
    with tempfile.TemporaryDirectory() as scratch:
      path = pathlib.Path(scratch, "train.txt")
      _write(path, rows, tf_idf.labels(products))
      model = omikuji.Model.train_on_data(
        str(path), settings, n_threads=child.threads()
      )

    def predict(documents: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
      asked = vectorizer.transform(documents)
      return rows_of(
        model.predict(tf_idf.pairs(row), beam_size=beam, top_k=KEPT)
        for row in asked
      )

    return predict

  return TagProducts.read(folder).answer(train, inputs, answers)


def _write(path: pathlib.Path, rows: Any, labels: Any) -> None:
  """The format of the extreme classification repository.

  Products without a known word or without a tag teach nothing, and Omikuji
  cannot read them.
  """
  told = (rows.getnnz(axis=1) > 0) & (labels.getnnz(axis=1) > 0)
  rows, labels = rows[told], labels[told]
  with path.open("wb") as file:
    sizes = (*rows.shape, labels.shape[1])
    file.write((" ".join(map(str, sizes)) + "\n").encode())
    dump_svmlight_file(rows, labels, file, multilabel=True)
