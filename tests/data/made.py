"""People who each take numbered items, one after another."""

import numpy as np

from tagrec_jax.core.settings import PipelineSettings
from tagrec_jax.data.dataset import Dataset, Interactions, Questions
from tagrec_jax.data.spec import Spec
from tagrec_jax.data.vocab import Vocabulary

SETTINGS = PipelineSettings(
  batch_rows=4,
  row_length=16,
  max_history=6,
  long_histories="newest",
  begin_token=True,
  product_tags=3,
)


def make_dataset(lengths: list[int]) -> Dataset:
  """Person p takes items 100·p, 100·p + 1, ...; the last two are held out."""
  offsets = np.cumsum([0, *lengths]).astype(np.int64)
  items = np.concatenate(
    [100 * p + np.arange(n) for p, n in enumerate(lengths)] or [[]]
  ).astype(np.int32)
  people = np.arange(len(lengths), dtype=np.int32)
  ends = np.maximum(offsets[1:] - 2, offsets[:-1])
  return Dataset(
    name="made",
    fingerprint="0",
    spec=Spec(100 * len(lengths), 0, ()),
    items=Vocabulary([]),
    tags=Vocabulary([]),
    people=Vocabulary([str(p) for p in people]),
    titles=(),
    events=Interactions(offsets, items, 1000 * items.astype(np.int64)),
    train_ends=ends,
    valid=Questions(people, offsets[1:] - 2),
    test=Questions(people, offsets[1:] - 1),
    product={},
    person={"group": people % 3},
    counts={},
  )
