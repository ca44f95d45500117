"""The feature table: what a prepared data set offers to a model.

Pipeline arrays, embedders and documentation follow from it, so a new modality
is one row here and one encoder.
"""

from __future__ import annotations

import dataclasses
import enum


class Kind(enum.StrEnum):
  """How a feature's array is read.

  CATEGORY: int32, one class of `size`; -1 is missing.
  ID_SET: int32 [..., width], members of a vocabulary of `size`, padded by -1.
  TEXT: int32 [..., width], words in order from a vocabulary of `size`, -1 pads.
  NUMBER: float32 [..., width], standardised on training data; NaN is missing.
  NGRAMS: int32 [..., width], rows of a table of `size`, distinct, the rarest
    first; -1 pads. In no order of the text.
  IMAGE: uint8 [..., width, width, 3], red, green, blue from 1 to 255; a picture
    that is missing is 0 everywhere, a real one nowhere.
  AUDIO: int16 [..., width], samples at 16 kHz, padded by 0; a clip that is
    missing is -32768 everywhere, a real one nowhere.
  VECTOR: float32 [..., width], of an encoder that is not trained here; NaN
    everywhere where it is missing.
  """

  CATEGORY = "category"
  ID_SET = "id_set"
  TEXT = "text"
  NUMBER = "number"
  NGRAMS = "ngrams"
  IMAGE = "image"
  AUDIO = "audio"
  VECTOR = "vector"


class Part(enum.StrEnum):
  """What a feature describes: a product, a tag, the moment asked, a person."""

  PRODUCT = "product"
  TAG = "tag"
  MOMENT = "moment"
  PERSON = "person"


ID = "id"
"""The part of a product vector that is learned for each product alone; in
configs it stands among the names of product features."""

TAGS = "tags"
"""The product feature that holds a product's tags, which are asked for too."""

CODES = "codes"
"""The array of products that holds their semantic ids, int32 [C + N, L] padded
by UNKNOWN, where products are written; it is no feature that a model reads."""


def batch_key(part: Part, name: str) -> str:
  """The key of a context feature in a batch: 'moment_hour'."""
  return f"{part}_{name}"


@dataclasses.dataclass(frozen=True)
class Feature:
  """One row of the table.

  Attributes:
    name: the array's key in the part's dict, such as 'tags', 'hour', 'gender'.
    part: whom it describes.
    kind: how to read it.
    size: classes or vocabulary; 0 for numbers.
    width: members, words, numbers, pixels of a side or samples of each row; 1
      for categories.
  """

  name: str
  part: Part
  kind: Kind
  size: int = 0
  width: int = 1


@dataclasses.dataclass(frozen=True)
class Spec:
  """Everything a model must know of a data set before it is built.

  Attributes:
    num_items, num_tags: of training: what may have parameters of its own.
    features: the table.
    num_new_items, num_new_tags: those that training never sees; they come after
      the others in every array, and are known by their content alone.
  """

  num_items: int
  num_tags: int
  features: tuple[Feature, ...]
  num_new_items: int = 0
  num_new_tags: int = 0

  def of(self, part: Part) -> tuple[Feature, ...]:
    return tuple(f for f in self.features if f.part == part)
