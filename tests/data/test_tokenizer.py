from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.data import tokenizer as tokenizer_lib
from tagrec_jax.data.tokenizer import (
  read_tokenizer,
  token_rows,
  vocabulary_size,
)

WORDS = (
  *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "car", "##s"),
  *("红", "色", "汽", "车", "2", "!"),
)


@pytest.fixture
def folder(tmp_path):
  """A tokenizer.json like BERT's, which pads and cuts in its own way."""
  tokenizers = pytest.importorskip("tokenizers")
  made = tokenizers.Tokenizer(
    tokenizers.models.WordPiece(
      {word: id for id, word in enumerate(WORDS)}, unk_token="[UNK]"
    )
  )
  made.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
  made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
  made.post_processor = tokenizers.processors.BertProcessing(
    ("[SEP]", 3), ("[CLS]", 2)
  )
  made.enable_padding(length=20)
  made.enable_truncation(5)
  made.save(str(tmp_path / "tokenizer.json"))
  return str(tmp_path)


def read(folder: str, *texts: str, width: int = 8) -> list[list[str]]:
  rows = token_rows(texts, read_tokenizer(folder), width)
  assert rows.dtype == np.int32
  assert rows.shape == (len(texts), width)
  for row in rows:
    assert (np.diff((row >= 0).astype(int)) <= 0).all()  # padded at the end
  return [[WORDS[id] for id in row if id >= 0] for row in rows]


def test_by_hand(folder):
  assert read(folder, "Red cars!", "") == [
    ["[CLS]", "red", "car", "##s", "!", "[SEP]"],
    [],
  ]
  assert vocabulary_size(read_tokenizer(folder)) == len(WORDS)


def test_chinese_and_mixed(folder):
  assert read(folder, "红色car 2", "红汽车龙") == [
    ["[CLS]", "红", "色", "car", "2", "[SEP]"],
    ["[CLS]", "红", "汽", "车", "[UNK]", "[SEP]"],
  ]


def test_special_tokens_are_never_cut(folder):
  assert read(folder, "red red red red", width=4) == [
    ["[CLS]", "red", "red", "[SEP]"]
  ]
  with pytest.raises(UserError, match=r"pretrained_tokens: found 2.*the 2 spe"):
    read(folder, "red", width=2)


def test_a_width_does_not_stay(folder):
  text = "red " * 9
  assert [len(read(folder, text, width=w)[0]) for w in (3, 9, 4)] == [3, 9, 4]


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff", b"[1"])
def test_what_is_no_tokenizer(tmp_path, content):
  pytest.importorskip("tokenizers")
  if content is not None:
    (tmp_path / "tokenizer.json").write_bytes(content)
  with pytest.raises(UserError, match=r"tokenizer\.json"):
    read_tokenizer(str(tmp_path))


def test_without_the_package(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, "tokenizers", None)
  tokenizer_lib._tokenizer.cache_clear()
  (tmp_path / "tokenizer.json").write_text(json.dumps({}))
  with pytest.raises(UserError, match=r"Fix: pip .*tagrec_jax\[pretrained\]"):
    read_tokenizer(str(tmp_path))
