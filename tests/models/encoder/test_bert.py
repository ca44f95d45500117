"""Encoders of the BERT family give the numbers of PyTorch's.

tests/golden/make_bert.py made what is compared with.
"""

from __future__ import annotations

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.data.spec import Feature, Kind, Part
from tagrec_jax.models.encoder import bert_weights
from tagrec_jax.models.encoder.bert import BertText
from tests.models.encoder.made import (
  axes_fit,
  check_missing,
  learns,
  model_settings,
  rngs,
  run,
  run_with_gradient,
)

GOLDEN = pathlib.Path(__file__).parents[2] / "golden" / "bert.npz"
TEXT = Feature("text", Part.PRODUCT, Kind.TEXT, size=30, width=6)


@pytest.fixture(scope="module")
def golden():
  with np.load(GOLDEN) as file:
    return dict(file)


def weights(golden, family):
  start = f"{family}/tensor/"
  config = json.loads(str(golden[f"{family}/config"]))
  tensors = {
    name.removeprefix(start): value
    for name, value in golden.items()
    if name.startswith(start)
  }
  return config, tensors


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_vectors_are_those_of_the_reference(golden, family):
  config, tensors = weights(golden, family)
  bert = bert_weights.load(config, tensors, "folder")
  ids = jnp.asarray(golden[f"{family}/ids"])
  tokens = run(bert, ids)
  wanted = np.where((ids >= 0)[..., None], golden[f"{family}/hidden"], 0)
  np.testing.assert_allclose(tokens.values_NSD, wanted, atol=2e-5)
  np.testing.assert_array_equal(tokens.there_NS, ids >= 0)


def test_a_model_saved_with_a_head_and_old_names(golden):
  config, tensors = weights(golden, "bert")
  renamed = {
    "bert."
    + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
      "LayerNorm.bias", "LayerNorm.beta"
    ): value
    for name, value in tensors.items()
  }
  renamed["cls.predictions.bias"] = np.zeros(30, np.float32)
  bert = bert_weights.load(config, renamed, "folder")
  plain = bert_weights.load(config, tensors, "folder")
  np.testing.assert_array_equal(bert.norm.scale[...], plain.norm.scale[...])


LAST = "encoder.layer.1.output.dense.weight"


@pytest.mark.parametrize(
  ("config_changes", "tensor_changes", "message"),
  [
    ({}, {LAST: None}, f"folder: no tensor '{LAST}', expected weights"),
    ({}, {"x.weight": 0}, "folder: 1 unexpected tensors, such as 'x.weight'"),
    (
      {"vocab_size": 31},
      {},
      r"_embeddings.weight\]: shape \(30, 8\), expected \(31, 8\) as config",
    ),
    (
      {"model_type": "bart"},
      {},
      r"folder \[model_type\]: found 'bart', expected one of bert, roberta",
    ),
    ({"hidden_act": "silu"}, {}, r"folder \[hidden_act\]: found 'silu'"),
    (
      {"position_embedding_type": "relative_key"},
      {},
      "found 'relative_key', expected absolute",
    ),
    ({"layer_norm_eps": None}, {}, r"\[layer_norm_eps\]: missing"),
  ],
)
def test_what_does_not_fit_is_one_line(
  golden, config_changes, tensor_changes, message
):
  kept = [
    {k: v for k, v in {**old, **changes}.items() if v is not None}
    for old, changes in zip(
      weights(golden, "bert"), (config_changes, tensor_changes), strict=True
    )
  ]
  with pytest.raises(UserError, match=message) as caught:
    bert_weights.load(*kept, "folder")
  assert "\n" not in str(caught.value)


def small(**changes):
  return BertText(TEXT, model_settings(**changes), rngs())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_from_scratch_what_is_missing_says_nothing(dtype):
  encoder = small(compute_dtype=dtype)
  check_missing(encoder, jnp.full((3, 6), -1))
  assert axes_fit(encoder)


def test_padding_has_no_gradient_and_no_say():
  ids = jnp.array([[4, 7, 1, -1, -1, -1]])
  tokens, gradient = run_with_gradient(small(), ids)
  np.testing.assert_array_equal(gradient["bert"]["positions"][3:], 0)
  np.testing.assert_array_equal(gradient["bert"]["words"][29], 0)
  part = run(small(), ids[:, :3])
  np.testing.assert_allclose(
    tokens.values_NSD[:, :3], part.values_NSD, atol=1e-5
  )


def test_from_scratch_it_learns_what_only_order_tells():
  ids = jax.random.randint(jax.random.key(0), (64, 6), 3, 30)
  labels = np.arange(64) % 2
  first = jnp.asarray(1 + labels)
  ids = ids.at[:, 1].set(first).at[:, 4].set(3 - first)
  before, after = learns(small(), ids, labels, steps=120)
  assert before < 0.75
  assert after > 0.95
