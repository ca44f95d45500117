"""PECOS XR-Linear: a tree of clusters of tags, ranked by linear matchers.

Source: Yu et al., 2022, 'PECOS: prediction for enormous and correlated output
spaces'; libpecos 1.2.8, its documented interface. It needs an interpreter of
its own, with numpy < 2 and scipy < 1.14.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pecos.xmc import Indexer, LabelEmbeddingFactory
from pecos.xmc.xlinear.model import XLinearModel

from experiments.benchmarks.child import Run
from experiments.peers import tf_idf
from experiments.peers.tag_products import (
  KEPT,
  Predict,
  TagProducts,
  rows_of,
)


def tags(
  folder: str,
  inputs: str,
  answers: str,
  *,
  words: int = 2,
  rarest: int = 2,
  cost: float = 1.0,
  threshold: float = 0.01,
  leaf: int = 100,
  beam: int = 30,
  negatives: str = "tfn+man",
) -> Run:
  """Trains and answers.

  Args:
    folder: of `TagProducts.write`.
    words, rarest: see `tf_idf.vectorizer`.
    cost: of a mistake, against the length of weights.
    threshold: smaller weights are dropped.
    leaf: tags of a leaf of the tree.
    beam: clusters that are followed.
    negatives: 'tfn', those of a tag's cluster, or 'tfn+man'.
  """

  def train(documents: Sequence[str], products: TagProducts) -> Predict:
    vectorizer, rows = tf_idf.trained(documents, words, rarest)
    labels = tf_idf.labels(products)
    clusters = Indexer.gen(
      LabelEmbeddingFactory.create(labels, rows, method="pifa"),
      indexer_type="hierarchicalkmeans",
      nr_splits=16,
      max_leaf_size=leaf,
    )
    model = XLinearModel.train(
      rows,
      labels,
      C=clusters,
      Cp=cost,
      Cn=cost,
      threshold=threshold,
      negative_sampling_scheme=negatives,
    )

    def predict(documents: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
      scores = model.predict(
        vectorizer.transform(documents), beam_size=beam, only_topk=KEPT
      )
      return rows_of(
        sorted(tf_idf.pairs(row), key=lambda pair: (-pair[1], pair[0]))
        for row in scores
      )

    return predict

  return TagProducts.read(folder).answer(train, inputs, answers)
