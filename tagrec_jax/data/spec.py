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
  """

  CATEGORY = "category"
  ID_SET = "id_set"
  TEXT = "text"
  NUMBER = "number"


class Part(enum.StrEnum):
  """What a feature describes: the product, the moment asked, the person."""

  PRODUCT = "product"
  MOMENT = "moment"
  PERSON = "person"


ID = "id"
"""The part of a product vector that is learned for each product alone; in
configs it stands among the names of product features."""


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
    width: members, words or numbers for each row; 1 for categories.
  """

  name: str
  part: Part
  kind: Kind
  size: int = 0
  width: int = 1


@dataclasses.dataclass(frozen=True)
class Spec:
  """Everything a model must know of a data set before it is built."""

  num_items: int
  num_tags: int
  features: tuple[Feature, ...]

  def of(self, part: Part) -> tuple[Feature, ...]:
    return tuple(f for f in self.features if f.part == part)
