"""Tags known by their text, by what was learned of them, or by both."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from configs import base
from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.settings import from_dict
from tagrec_jax.data.spec import Feature, Kind, Part, Spec
from tagrec_jax.layers.noise import Noise
from tagrec_jax.layers.param import logical_axes
from tagrec_jax.models.decoder.ranking import OwnCatalogue, RankingDecoder
from tagrec_jax.models.decoder.tags import tag_catalogue
from tagrec_jax.models.encoder.plain import SetVector
from tagrec_jax.models.tagger import Tagger

SETTINGS = dataclasses.replace(
  from_dict(base.get_config().to_dict()).model,
  width=8,
  hidden=8,
  layers=1,
  product=("text",),
  tag_vectors="both",
  tag_dropout=0.5,
)
TEXT = Feature("text", Part.PRODUCT, Kind.TEXT, 9, 4)
SPEC = Spec(
  num_items=3,
  num_tags=5,
  features=(TEXT, Feature("text", Part.TAG, Kind.TEXT, 9, 2)),
  num_new_tags=2,
)
# Seven tags, two of them new; tags 4 and 5 have the same words.
WORDS = {
  "text": jnp.array(
    [[0, 1], [2, UNKNOWN], [3, 4], [UNKNOWN] * 2, [5, 6], [5, 6], [7, 8]]
  )
}
OF_TRAINING = {"text": WORDS["text"][:5]}


def made(**changes):
  """A catalogue whose every parameter is a random number."""
  settings = dataclasses.replace(SETTINGS, **changes)
  rngs = nnx.Rngs(params=0)
  encoders = {"text": SetVector(TEXT, settings, rngs)}
  catalogue = tag_catalogue(settings, SPEC, encoders, rngs)
  nnx.update(catalogue, randomised(nnx.state(catalogue, nnx.Param)))
  return catalogue


def randomised(state):
  leaves, tree = jax.tree.flatten(state)
  # With these no sum comes near 0, where rounding is large beside it.
  random = np.random.default_rng(6)
  leaves = [jnp.asarray(random.normal(size=x.shape), x.dtype) for x in leaves]
  return jax.tree.unflatten(tree, leaves)


def test_both_by_hand():
  tags = made()
  entries = tags.entries(WORDS, None)
  encoded = tags.norm(tags.encoders[0](WORDS["text"], None).mean())[2] / 8
  text = encoded @ tags.text.kernel[...] + tags.text.bias[...]
  lean = encoded @ tags.lean.kernel[...] + tags.lean.bias[...]
  gate = 1 / (1 + np.exp(-tags.gate[...][2]))
  np.testing.assert_allclose(
    entries.vectors_CD[2], text + gate * tags.table[...][2], rtol=1e-5
  )
  np.testing.assert_allclose(
    entries.bias_C[2],
    (tags.bias[...][2] + lean + tags.common[...])[0],
    rtol=1e-5,
  )


def test_new_tags_are_known_by_their_text_alone():
  tags = made()
  entries, text = tags.entries(WORDS, None), made(tag_vectors="text")
  assert entries.vectors_CD.shape == (7, 8)
  text_CD = tags.norm(tags.encoders[0](WORDS["text"], None).mean()) / 8
  np.testing.assert_allclose(
    entries.bias_C[5:],
    (tags.lean(text_CD)[:, 0] + tags.common[...])[5:],
    rtol=1e-5,
  )
  assert not np.allclose(entries.vectors_CD[4], entries.vectors_CD[5])
  only = text.entries(WORDS, None)
  np.testing.assert_array_equal(only.vectors_CD[4], only.vectors_CD[5])


def test_training_gives_the_same_vectors_without_the_new_ones():
  tags = made()
  whole = tags.entries(WORDS, None)
  some = tags.entries(OF_TRAINING, None)
  np.testing.assert_allclose(some.vectors_CD, whole.vectors_CD[:5], rtol=1e-6)


def test_a_dropped_tag_is_like_a_new_one():
  tags = made(tag_dropout=0.9)
  # The words of tag 4 once more, as a new tag.
  words = {"text": WORDS["text"][:6]}
  dropped = [
    tags.entries(words, Noise(jax.random.key(key))) for key in range(5)
  ]
  alike = [np.allclose(e.vectors_CD[4], e.vectors_CD[5]) for e in dropped]
  assert any(alike)
  for entries, same in zip(dropped, alike, strict=True):
    assert same == (entries.bias_C[4] == entries.bias_C[5])


def test_gradients_reach_every_parameter_and_only_known_tags():
  tags = made()
  graph, state = nnx.split(tags, nnx.Param)

  def total(state, row):
    entries = nnx.merge(graph, state).entries(WORDS, None)
    return entries.vectors_CD[row].sum() + entries.bias_C[row]

  of_old = nnx.to_pure_dict(jax.grad(total)(state, 2))
  of_new = nnx.to_pure_dict(jax.grad(total)(state, 6))
  for name in ("table", "gate", "bias"):
    assert np.flatnonzero(of_old[name].reshape(5, -1).any(axis=1)) == [2]
    assert not of_new[name].any()
  for grads in (of_old, of_new):
    assert grads["text"]["kernel"].any()
    assert grads["lean"]["kernel"].any()
    assert grads["common"].any()


def test_tags_share_the_encoder_of_products():
  """One table for both: it is there once, and both move it."""
  rngs = nnx.Rngs(params=0)
  tagger = Tagger(
    SETTINGS,
    SPEC,
    encoders={"text": SetVector},
    prior=np.zeros(5, np.float32),
    rngs=rngs,
  )
  graph, state = nnx.split(tagger, nnx.Param)
  shapes = [x.shape for x in jax.tree.leaves(state)]
  assert shapes.count((9, 8)) == 1
  logical_axes(state)
  state = randomised(state)  # or words of tags had no effect yet

  def score(state):
    model = nnx.merge(graph, state)
    query = model(
      {"text": jnp.array([[0, 1, 2, UNKNOWN]])},
      model.tags.entries(WORDS),
    )
    assert query.vectors_CD.shape == (7, 8)
    return (query.query_BTD[0, 0] * query.vectors_CD[6]).sum()

  (grad,) = [x for x in jax.tree.leaves(jax.grad(score)(state)) if len(x) == 9]
  assert grad.any(axis=1).tolist() == [True] * 3 + [False] * 4 + [True] * 2


def test_text_begins_without_effect():
  """So scores start at the prior, whatever the words."""
  rngs = nnx.Rngs(params=0)
  encoders = {"text": SetVector(TEXT, SETTINGS, rngs)}
  prior = np.linspace(-4.0, 0.0, 5)
  tags = tag_catalogue(
    dataclasses.replace(SETTINGS, tag_vectors="text"),
    SPEC,
    encoders,
    rngs,
    prior,
  )
  entries = tags.entries(WORDS, None)
  assert not entries.vectors_CD.any()
  np.testing.assert_allclose(
    entries.bias_C, [*prior, prior.mean(), prior.mean()], rtol=1e-6
  )


def test_learned_tags_read_nothing():
  settings = dataclasses.replace(SETTINGS, tag_vectors="learned")
  catalogue = tag_catalogue(settings, SPEC, {}, nnx.Rngs(params=0))
  assert isinstance(catalogue, OwnCatalogue)
  entries = RankingDecoder(settings, catalogue).entries(WORDS)
  assert entries.vectors_CD.shape == (5, 8)


def test_no_text_to_make_tags_of():
  with pytest.raises(UserError, match="knows of tags: text"):
    tag_catalogue(SETTINGS, SPEC, {}, nnx.Rngs(params=0))
