"""Two people and five films, two of them with the same title."""

import numpy as np

from tagrec_jax.data.dataset import Dataset, Interactions, Questions
from tagrec_jax.data.spec import Feature, Kind, Part, Spec
from tagrec_jax.data.vocab import Vocabulary


def made_dataset() -> Dataset:
  none = Questions(np.zeros(0, np.int32), np.zeros(0, np.int64))
  return Dataset(
    name="films",
    fingerprint="0",
    spec=Spec(
      5,
      2,
      (
        Feature("hour", Part.MOMENT, Kind.CATEGORY, 24),
        Feature("gender", Part.PERSON, Kind.CATEGORY, 2),
      ),
    ),
    items=Vocabulary(["1", "2", "3", "4", "5"]),
    tags=Vocabulary(["funny", "sad"]),
    people=Vocabulary(["a", "b"]),
    titles=("Film one", "Film two", "Film three", "Twice", "Twice"),
    events=Interactions(
      np.array([0, 2, 5]),
      np.array([0, 1, 2, 3, 4], np.int32),
      np.array([0, 3600, 0, 0, 0]),
    ),
    train_ends=np.array([2, 5]),
    valid=none,
    test=none,
    product={},
    person={"gender": np.array([1, 0], np.int32)},
    counts={},
  )
