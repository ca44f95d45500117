"""A data set of shapes: what a model has to know, without any rows.

A catalogue of a hundred million products must not be made to learn what a
program over it would need. Its arrays stand here as shapes, which become
arguments of the program; a few rows of the real arrays' form are enough for
everything that is not a program, such as the shapes of a batch.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np

from tagrec_jax.core.errors import UserError
from tagrec_jax.core.registry import nearest
from tagrec_jax.core.settings import Settings
from tagrec_jax.data.dataset import Dataset, Interactions, Questions
from tagrec_jax.data.moments import MOMENT_FEATURES
from tagrec_jax.data.spec import ID, TAGS, Feature, Kind, Part, Spec
from tagrec_jax.data.tag_counts import TagCounts
from tagrec_jax.data.vocab import Vocabulary

Arrays = dict[str, dict[str, Any]]
"""'product', 'tag' → feature → what stands for its array."""

_FEW = 8
"""Products of which arrays are made; their values mean nothing."""

_DTYPES = {
  Kind.NUMBER: np.float32,
  Kind.VECTOR: np.float32,
  Kind.IMAGE: np.uint8,
  Kind.AUDIO: np.int16,
}


@dataclasses.dataclass(frozen=True)
class Catalogue:
  """A data set and the shapes of its arrays.

  Attributes:
    few: tells the spec and the shapes of batches; of products it may have a few
      rows only.
    shapes: of the arrays of all products and tags.
    counts: how often tags were given; None if nothing asks for tags.
    told: one line for the reader of a report.
  """

  few: Dataset
  shapes: Arrays
  counts: TagCounts | None
  told: str

  def with_arrays(self, arrays: Arrays) -> Dataset:
    """The data set with arrays that are known only while tracing."""
    return dataclasses.replace(
      self.few, product=arrays["product"], tag=arrays["tag"]
    )


def of_data(dataset: Dataset, tags: bool) -> Catalogue:
  """The shapes of a prepared data set.

  Args:
    tags: whether a model is asked for them.
  """
  arrays = {"product": dataset.product, "tag": dataset.tag}
  spec = dataset.spec
  return Catalogue(
    dataset,
    jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), arrays),
    TagCounts.of(dataset) if tags else None,
    f"the data set '{dataset.name}': {spec.num_items:,} products,"
    f" {spec.num_tags:,} tags",
  )


def made_up(
  settings: Settings, products: int, tags: int, tags_each: int
) -> Catalogue:
  """A catalogue that nobody has, as large as wished.

  Every history is as long as `max_history`, and every list as its width.

  Args:
    tags_each: tags of one product, at most.

  Raises:
    UserError: if the model reads what only a real data set can tell.
  """
  if settings.task == "tag_post":
    raise UserError(
      "config.task",
      "found 'tag_post' with a made-up catalogue, in which nobody gave a tag",
      "'next_item' or 'tag_item'",
      "leave --products out: then the data set of the config tells",
    )
  if settings.model.memory_weight:
    raise UserError(
      "config.model.memory_weight",
      f"found {settings.model.memory_weight} with a made-up catalogue",
      "0, as a memory is counted in real events",
      "set config.model.memory_weight=0.0",
    )
  wanted = [name for name in settings.model.product if name != ID]
  tagged = settings.objective.tags_weight > 0 or TAGS in wanted
  names = dict.fromkeys([*wanted, *([TAGS] if tagged else [])])
  offered = _offered(settings, tags, tags_each)
  for name in names:
    _check(f"config.model.{Part.PRODUCT}", name, list(offered))
  for name in settings.model.person:
    _check(f"config.model.{Part.PERSON}", name, [])
  moments = [f.name for f in MOMENT_FEATURES]
  for name in settings.model.moment:
    _check(f"config.model.{Part.MOMENT}", name, moments)
  features = tuple(offered[name] for name in names)
  spec = Spec(products, tags, (*features, *MOMENT_FEATURES))
  shapes = {f.name: _shape(f, products) for f in features}
  counts = TagCounts(products, np.ones(tags, np.int64)) if tagged else None
  told = f"made up: {products:,} products, {tags:,} tags"
  return Catalogue(
    _few(settings, spec, features),
    {"product": shapes, "tag": {}},
    counts,
    f"{told}, at most {tags_each} of a product" if tagged else told,
  )


def _offered(
  settings: Settings, tags: int, tags_each: int
) -> dict[str, Feature]:
  """Features whose size the config tells."""
  data = settings.data
  seconds = round(data.audio_seconds * 16_000)
  rows = (
    (TAGS, Kind.ID_SET, tags, tags_each),
    ("text", Kind.TEXT, data.text_vocabulary, data.text_words),
    ("ngrams", Kind.NGRAMS, data.ngram_buckets, data.ngram_width),
    ("image", Kind.IMAGE, data.image_size, data.image_size),
    ("audio", Kind.AUDIO, seconds, seconds),
  )
  return {
    name: Feature(name, Part.PRODUCT, kind, size, width)
    for name, kind, size, width in rows
    if size
  }


def _check(where: str, name: str, known: list[str]) -> None:
  if name not in known:
    raise UserError(
      where,
      f"found '{name}' with a made-up catalogue",
      f"some of {', '.join(known) or 'none'}",
      (nearest(name, known) + ", or " if known else "")
      + "leave --products out: then the data set of the config tells",
    )


def _shape(feature: Feature, rows: int) -> jax.ShapeDtypeStruct:
  each: tuple[int, ...] = (feature.width,)
  if feature.kind is Kind.IMAGE:
    each = (feature.width, feature.width, 3)
  return jax.ShapeDtypeStruct(
    (rows, *each), _DTYPES.get(feature.kind, np.int32)
  )


def _few(
  settings: Settings, spec: Spec, features: tuple[Feature, ...]
) -> Dataset:
  """A few products, and people who each took one as often as is looked at."""
  people = settings.pipeline.batch_rows
  each = settings.pipeline.max_history + 2
  offsets = np.arange(people + 1, dtype=np.int64) * each
  times = np.tile(np.arange(each, dtype=np.int64) * 86_400, people)
  asked = Questions(np.arange(people, dtype=np.int32), offsets[1:] - 1)
  shapes = {f.name: _shape(f, _FEW) for f in features}
  return Dataset(
    name="made up",
    fingerprint="",
    spec=spec,
    items=Vocabulary(()),
    tags=Vocabulary(()),
    people=Vocabulary(()),
    titles=(),
    events=Interactions(offsets, np.zeros(people * each, np.int32), times),
    train_ends=offsets[1:] - 1,
    valid=asked,
    test=asked,
    product={n: np.zeros(s.shape, s.dtype) for n, s in shapes.items()},
    person={},
    counts={},
    test_items=np.zeros(0, np.int32),
  )
