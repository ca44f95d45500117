"""Encoders of texts and of vectors made of texts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tagrec_jax.data import ngrams as hashed
from tagrec_jax.data.spec import Feature, Kind, Part
from tagrec_jax.layers.noise import Noise
from tagrec_jax.models.encoder.ngrams import NgramBag
from tagrec_jax.models.encoder.text import TransformerText
from tagrec_jax.models.encoder.vector import VectorMap
from tests.models.encoder.made import (
  axes_fit,
  check_missing,
  learns,
  model_settings,
  rngs,
  run,
  run_with_gradient,
)

NGRAMS = Feature("ngrams", Part.PRODUCT, Kind.NGRAMS, size=50, width=6)
TEXT = Feature("text", Part.PRODUCT, Kind.TEXT, size=30, width=6)
VECTOR = Feature("pretrained", Part.PRODUCT, Kind.VECTOR, width=8)
IDS = jnp.array([[4, 7, 1, -1, -1, -1], [7, 4, 1, 2, 3, 0]])


def ngrams(**changes):
  return NgramBag(NGRAMS, model_settings(**changes), rngs())


def text(**changes):
  return TransformerText(TEXT, model_settings(**changes), rngs())


def vector(**changes):
  return VectorMap(VECTOR, model_settings(**changes), rngs())


@pytest.mark.parametrize(
  ("make", "missing"),
  [
    (ngrams, jnp.full((3, 6), -1)),
    (text, jnp.full((3, 6), -1)),
    (vector, jnp.full((3, 8), jnp.nan)),
  ],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_missing_says_nothing(make, missing, dtype):
  encoder = make(compute_dtype=dtype)
  check_missing(encoder, missing)
  assert axes_fit(encoder)


def test_ngrams_are_a_weighted_sum_at_length_one():
  start = np.linspace(1, 3, 50)
  bag = NgramBag(NGRAMS, model_settings(), rngs(), weights=start)
  tokens = run(bag, IDS)
  rows, weights = bag.table[...][IDS[0, :3]], start[[4, 7, 1]]
  wanted = weights @ rows / np.linalg.norm(weights)
  np.testing.assert_allclose(tokens.values_NSD[0, 0], wanted, rtol=1e-5)
  assert tokens.there_NS.all()


def test_ngrams_left_out_are_others_each_time():
  bag = ngrams(dropout=0.5)
  ids = jnp.tile(jnp.arange(6)[None], (40, 1))
  tokens = run(bag, ids, Noise(jax.random.key(0)))
  assert len(np.unique(np.round(tokens.values_NSD[:, 0, 0], 6))) > 10
  assert tokens.there_NS.all()


def test_a_text_that_lost_all_its_ngrams_has_a_gradient():
  noise = Noise(jax.random.key(0))
  tokens, gradient = run_with_gradient(ngrams(dropout=0.9), IDS, noise)
  assert (tokens.values_NSD == 0).all(-1).any()
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_words_have_an_order_and_ngrams_have_none():
  other = IDS[:, jnp.array([1, 0, 2, 3, 4, 5])]
  bag, transformer = ngrams(), text()
  np.testing.assert_allclose(
    run(bag, IDS).values_NSD, run(bag, other).values_NSD, atol=1e-6
  )
  same, turned = run(transformer, IDS).mean(), run(transformer, other).mean()
  assert np.abs(same - turned).max() > 1e-3


@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_padding_is_not_read(positions):
  """The first text alone, in a width that it fills: the same tokens."""
  encoder = text(positions=positions)
  short = Feature("text", Part.PRODUCT, Kind.TEXT, size=30, width=3)
  alone = TransformerText(short, model_settings(positions=positions), rngs())
  alone.words, alone.stack.blocks = encoder.words, encoder.stack.blocks
  if positions == "learned":
    alone.stack.positions[...] = encoder.stack.positions[...][:3]
  whole, part = run(encoder, IDS[:1]), run(alone, IDS[:1, :3])
  np.testing.assert_allclose(
    whole.values_NSD[:, :3], part.values_NSD, atol=1e-5
  )
  np.testing.assert_array_equal(whole.there_NS[0], [1, 1, 1, 0, 0, 0])


def test_padding_has_no_gradient():
  _, gradient = run_with_gradient(text(), IDS[:1])
  np.testing.assert_array_equal(gradient["stack"]["positions"][3:], 0)
  assert np.abs(gradient["stack"]["positions"][:3]).min() > 0
  # -1 reads no word, the last one neither.
  np.testing.assert_array_equal(gradient["words"][29], 0)


def test_text_learns_what_only_order_tells():
  """Does word 1 come before word 2?"""
  random = np.random.default_rng(0)
  ids = random.integers(3, 30, (96, 6))
  places = np.sort(random.random((96, 6)).argsort(1)[:, :2])
  labels = np.arange(96) % 2
  rows = np.arange(96)
  ids[rows, places[rows, labels]] = 1
  ids[rows, places[rows, 1 - labels]] = 2
  before, after = learns(text(), jnp.asarray(ids), labels, steps=150)
  assert before < 0.7
  assert after > 0.95


def test_ngrams_and_vectors_learn():
  random = np.random.default_rng(0)
  ids = random.integers(10, 50, (64, 6))
  labels = np.arange(64) % 4
  ids[:, 3] = labels
  before, after = learns(ngrams(), jnp.asarray(ids), labels, steps=100)
  assert before < 0.6
  assert after > 0.95
  vectors = random.normal(size=(64, 8)).astype(np.float32)
  vectors[np.arange(64), labels] += 4
  before, after = learns(vector(), jnp.asarray(vectors), labels, steps=100)
  assert before < 0.6
  assert after > 0.95


def test_chinese_titles_tell_what_is_sold():
  random = np.random.default_rng(0)
  kinds = ["连衣裙", "跑步鞋", "保温杯", "机械键盘"]
  colours = ["红色", "黑色", "白色", "蓝色", "绿色", "粉色"]
  ends = ["夏季新款", "男女同款", "正品包邮", "大容量", "送礼佳品", "学生用"]
  titles = [
    (f"{random.choice(colours)}{kinds[place % 4]} {random.choice(ends)}", "")
    for place in range(64)
  ]
  table = hashed.learn(titles, 512)
  ids = jnp.asarray(hashed.rows(titles, *table, 24))
  feature = Feature("ngrams", Part.PRODUCT, Kind.NGRAMS, size=512, width=24)
  bag = NgramBag(feature, model_settings(), rngs(), weights=table[1])
  labels = np.arange(64) % 4
  before, after = learns(bag, ids, labels, steps=60)
  assert before < 0.7
  assert after > 0.95
  new = [("新款连衣裙 黑色", ""), ("轻便跑步鞋", ""), ("不锈钢保温杯", "")]
  known = run(bag, jnp.asarray(hashed.rows(new, *table, 24))).there_NS
  assert known.all()  # by parts of their words
