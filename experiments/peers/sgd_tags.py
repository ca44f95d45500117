"""TF-IDF and one linear classifier for each tag, by stochastic gradients.

Source: scikit-learn 1.9, its documented interface.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.multiclass import OneVsRestClassifier

from experiments.benchmarks import child
from experiments.benchmarks.child import Run
from experiments.peers import tf_idf
from experiments.peers.tag_products import Predict, TagProducts, best

_AT_ONCE = 1024  # products answered at a time


def tags(
  folder: str,
  inputs: str,
  answers: str,
  *,
  words: int = 1,
  rarest: int = 2,
  loss: str = "log_loss",
  alpha: float = 1e-5,
  epochs: int = 5,
  average: bool = True,
) -> Run:
  """Trains and answers.

  Args:
    folder: of `TagProducts.write`.
    words, rarest: see `tf_idf.vectorizer`.
    alpha: of the penalty on weights.
    average: answer with the mean of the weights of all steps.
  """

  def train(documents: Sequence[str], products: TagProducts) -> Predict:
    vectorizer, rows = tf_idf.trained(documents, words, rarest)
    one = SGDClassifier(
      loss=loss,
      alpha=alpha,
      max_iter=epochs,
      tol=None,
      average=average,
      random_state=0,
    )
    model = OneVsRestClassifier(one, n_jobs=child.threads())
    model.fit(rows, tf_idf.labels(products))

    def predict(documents: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
      asked = vectorizer.transform(documents)
      blocks = [
        best(model.decision_function(asked[start : start + _AT_ONCE]))
        for start in range(0, asked.shape[0], _AT_ONCE)
      ]
      ids, scores = zip(*blocks, strict=True)
      return np.concatenate(ids), np.concatenate(scores).astype(np.float32)

    return predict

  return TagProducts.read(folder).answer(train, inputs, answers)
