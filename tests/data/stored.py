"""A small data set that is hard to store, and what may happen to its files."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

from tagrec_jax.data.dataset import NO_TIME, Dataset, Interactions, Questions
from tagrec_jax.data.encodings import Encoding
from tagrec_jax.data.fingerprint import fingerprint
from tagrec_jax.data.lists import Lists
from tagrec_jax.data.spec import Feature, Kind, Part, Spec
from tagrec_jax.data.vocab import Vocabulary

# Every kind of feature, values that are easily lost, and people with no
# events, with training only, and with several questions.
ODD_NAME = "lengths_brand/färbe .\n"
FEATURES = (
  Feature("tags", Part.PRODUCT, Kind.ID_SET, 2, 3),
  Feature("numbers", Part.PRODUCT, Kind.NUMBER, 0, 2),
  Feature(ODD_NAME, Part.PRODUCT, Kind.CATEGORY, 2),
  Feature("text", Part.PRODUCT, Kind.TEXT, 9, 2),
  Feature("ngrams", Part.PRODUCT, Kind.NGRAMS, 9, 1),
  Feature("image", Part.PRODUCT, Kind.IMAGE, 0, 2),
  Feature("audio", Part.PRODUCT, Kind.AUDIO, 0, 3),
  Feature("pretrained", Part.PRODUCT, Kind.VECTOR, 0, 2),
  Feature("text", Part.TAG, Kind.TEXT, 9, 2),
  Feature("gender", Part.PERSON, Kind.CATEGORY, 2),
  Feature("hour", Part.MOMENT, Kind.CATEGORY, 24),
  Feature(ODD_NAME, Part.MOMENT, Kind.CATEGORY, 3),
)


def small() -> Dataset:
  numbers = np.array([[np.nan, -0.0], [1e-38, 5.0], [0, 1]], np.float32)
  dataset = Dataset(
    name="small",
    fingerprint="",
    spec=Spec(2, 2, FEATURES, 1, 1),
    items=Vocabulary(["00123", "\udc80"]),
    tags=Vocabulary(["blau", "grün"]),
    people=Vocabulary(["p0", "p1", "p2", "p3"]),
    titles=("", "雨\n🙂", "new"),
    events=Interactions(
      np.array([0, 4, 4, 5, 8], np.int64),
      np.array([0, 1, -1, 0, 1, 1, 0, 2], np.int32),
      np.array([NO_TIME, 0, 2**53 + 1, 2**62, -5, 1, 1, 2], np.int64),
      Lists.of(
        np.array([0, 2, 1, 1, 0], np.int32), np.array([2, 0, 1, 0, 0, 0, 1, 1])
      ),
      {ODD_NAME: np.array([0, -1, 2, 1, 0, 0, 1, 2], np.int32)},
    ),
    train_ends=np.array([1, 4, 5, 7], np.int64),
    valid=Questions(np.array([0, 0], np.int32), np.array([1, 2], np.int64)),
    test=Questions(np.array([0, 3], np.int32), np.array([3, 7], np.int64)),
    product={
      "tags": np.array([[0, 1, -1], [-1, -1, -1], [1, 2, -1]], np.int32),
      "numbers": numbers,
      ODD_NAME: np.array([1, -1, 0], np.int32),
      "text": np.array([[8, -1], [-1, -1], [0, 1]], np.int32),
      "ngrams": np.array([[-1], [8], [0]], np.int32),
      "image": np.arange(36, dtype=np.uint8).reshape(3, 2, 2, 3),
      "audio": np.array([[-32768] * 3, [0, 1, 32767], [-1, 0, 0]], np.int16),
      "pretrained": numbers[::-1],
    },
    person={"gender": np.array([0, 1, -1, 0], np.int32)},
    new_items=Vocabulary(["00122"]),
    new_tags=Vocabulary(["a tag\u2028"]),
    test_items=np.array([2], np.int32),
    tag={"text": np.array([[0, -1], [1, 2], [-1, -1]], np.int32)},
    counts={"duplicates": 3},
    encodings=(
      Encoding(
        FEATURES[1], Vocabulary(["price", "year"]), (0.1, 1 / 3), (1e-9, 2.0)
      ),
      Encoding(
        Feature("ngrams", Part.PRODUCT, Kind.NGRAMS, 3, 2),
        ngrams=np.array([0, 2**32 - 1], np.uint32),
        weights=np.array([1e-38, 1 / 3, 0], np.float32),
      ),
      Encoding(
        Feature("tokens", Part.TAG, Kind.TEXT, 3, 2),
        tokenizer='{"雨": "\r\n"}',
      ),
    ),
  )
  return dataclasses.replace(dataset, fingerprint=fingerprint(dataset))


def assert_same(a, b) -> None:
  """Equal to the last bit, with types."""
  if isinstance(a, np.ndarray):
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    assert a.tobytes() == b.tobytes()
  elif isinstance(a, dict):
    assert a.keys() == b.keys()
    for key in a:
      assert_same(a[key], b[key])
  elif isinstance(a, tuple) and a and isinstance(a[0], Encoding):
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
      assert_same(one, other)
  elif isinstance(a, Dataset | Interactions | Questions | Encoding | Lists):
    assert type(a) is type(b)
    for field in dataclasses.fields(a):
      assert_same(getattr(a, field.name), getattr(b, field.name))
  else:
    assert type(a) is type(b)
    assert a == b


def files_of(folder: pathlib.Path) -> list[pathlib.Path]:
  return sorted(path for path in folder.rglob("*") if path.is_file())


def damages():
  def flip(path: pathlib.Path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

  def truncate(path: pathlib.Path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

  def empty(path: pathlib.Path):
    path.write_bytes(b"")

  return [flip, truncate, empty, pathlib.Path.unlink]


def make_mapped(monkeypatch, rows: int = 1) -> None:
  """Everything is large, and read `rows` rows at a time."""
  from tagrec_jax.data import builder, mapped

  monkeypatch.setattr(builder, "LARGE", 0)
  monkeypatch.setattr(mapped, "LARGE", 0)
  monkeypatch.setattr(builder, "BLOCK_ROWS", 1)
  monkeypatch.setattr(builder, "SHARD_BLOCKS", rows)
