"""Documents as rows of TF-IDF, as all linear peers read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from experiments.peers.tag_products import TagProducts


def vectorizer(longest: int, rarest: int) -> Any:
  """Words and runs of words, sublinear counts, rows of length 1.

  Args:
    longest: words of a run.
    rarest: products that have what is kept.
  """
  return TfidfVectorizer(
    sublinear_tf=True,
    ngram_range=(1, longest),
    min_df=rarest,
    token_pattern=r"\S+",  # noqa: S106 (no password)
    lowercase=False,
    dtype=np.float32,
  )


def labels(products: TagProducts) -> Any:
  """The tags of training as float32 CSR [C, T] of ones."""
  shape = products.num_items, products.num_tags
  ones = np.ones(len(products.tags), np.float32)
  return sparse.csr_matrix((ones, products.tags, products.offsets), shape)


def pairs(row: Any) -> list[tuple[int, float]]:
  """A CSR row as (column, value)."""
  return list(zip(row.indices.tolist(), row.data.tolist(), strict=True))


def trained(
  documents: Sequence[str], longest: int, rarest: int
) -> tuple[Any, Any]:
  """The vectorizer of these documents, and their rows."""
  made = vectorizer(longest, rarest)
  return made, made.fit_transform(documents)
