"""Encoders of pictures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.data.spec import Feature, Kind, Part
from tagrec_jax.layers.noise import Noise
from tagrec_jax.models.encoder import image as image_encoders
from tagrec_jax.models.encoder.augment import LIGHT, augment
from tagrec_jax.models.encoder.image import ResNetImage, ViTImage
from tests.models.encoder.made import (
  axes_fit,
  check_missing,
  learns,
  model_settings,
  rngs,
  run,
)

SIDE = 16
IMAGE = Feature("image", Part.PRODUCT, Kind.IMAGE, width=SIDE)
ENCODERS = [ResNetImage, ViTImage]


def pictures(count, seed=0):
  random = np.random.default_rng(seed)
  return random.integers(1, 256, (count, SIDE, SIDE, 3)).astype(np.uint8)


@pytest.mark.parametrize("cls", ENCODERS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_missing_says_nothing(cls, dtype):
  encoder = cls(IMAGE, model_settings(compute_dtype=dtype), rngs())
  check_missing(encoder, jnp.zeros((2, SIDE, SIDE, 3), jnp.uint8))
  assert axes_fit(encoder)


@pytest.mark.parametrize(("cls", "tokens"), [(ResNetImage, 1), (ViTImage, 4)])
def test_a_picture_does_not_depend_on_others(cls, tokens):
  encoder = cls(IMAGE, model_settings(), rngs())
  three = pictures(3)
  three[1] = 0
  made = run(encoder, jnp.asarray(three))
  assert made.values_NSD.shape == (3, tokens, 16)
  np.testing.assert_array_equal(made.there_NS[:, 0], [1, 0, 1])
  other = run(encoder, jnp.asarray(pictures(3, seed=1)).at[2].set(three[2]))
  np.testing.assert_allclose(made.values_NSD[2], other.values_NSD[2], atol=1e-5)
  assert np.abs(made.values_NSD[0] - other.values_NSD[0]).max() > 1e-3


@pytest.mark.parametrize("cls", ENCODERS)
def test_it_learns_which_way_stripes_run(cls, monkeypatch):
  monkeypatch.setattr(image_encoders, "WIDTHS", (8, 16, 16))  # to be fast
  labels = np.arange(24) % 2
  images = pictures(24) // 4 + 1
  for image, label in zip(images, labels, strict=True):
    stripes = np.arange(SIDE) // 2 % 2 * 150
    image[...] += stripes.astype(np.uint8)[
      (slice(None), None, None) if label else (None, slice(None), None)
    ]
  encoder = cls(IMAGE, model_settings(), rngs())
  before, after = learns(encoder, jnp.asarray(images), labels, steps=40)
  assert before < 0.8
  assert after > 0.95


def test_patches_are_squares_of_the_picture():
  encoder = ViTImage(IMAGE, model_settings(layers=1), rngs())
  image = np.full((1, SIDE, SIDE, 3), 128, np.uint8)
  image[0, :8, 8:] = 200
  made = encoder.patches
  seen = []
  encoder.patches = lambda x: seen.append(x) or made(x)
  encoder(jnp.asarray(image), None)
  same = [len(np.unique(patch)) == 1 for patch in seen[0][0]]
  assert all(same)
  assert np.argmax(seen[0][0].mean(-1)) == 1


def test_only_whole_patches():
  odd = Feature("image", Part.PRODUCT, Kind.IMAGE, width=50)
  with pytest.raises(UserError, match="found 50.* multiple of 8. Fix: use 48"):
    ViTImage(odd, model_settings(), rngs())


def test_changed_pictures_are_the_old_ones_mirrored_and_shifted():
  ramp = jnp.linspace(-0.5, 0.5, SIDE)[None, None, :, None]
  images = jnp.broadcast_to(ramp, (64, SIDE, SIDE, 3))
  made = np.asarray(
    jax.jit(lambda k: augment(images, Noise(k)))(jax.random.key(0))
  )
  assert made.shape == images.shape
  slopes = made[:, 0, 9, 0] - made[:, 0, 6, 0]
  assert 16 < (slopes < 0).sum() < 48
  # Ramps stay ramps, of a contrast within its limits.
  plain = 3 / (SIDE - 1)
  assert np.all(np.abs(np.abs(slopes) / plain - 1) < LIGHT + 1e-3)
  assert len(np.unique(np.round(made[:, 0, 8, 0], 4))) > 60
  # Rows of a picture that differs only from left to right stay alike.
  np.testing.assert_allclose(made, made[:, :1] + 0 * made, atol=1e-5)
  same = augment(images, Noise(jax.random.key(0)))
  np.testing.assert_allclose(made, same, atol=1e-5)


def test_a_shift_moves_both_ways_at_most_an_eighth():
  images = jnp.zeros((200, SIDE, SIDE, 3)).at[:, 8, 8].set(100.0)
  made = np.asarray(augment(images, Noise(jax.random.key(3))))[..., 0]
  places = [np.unravel_index(m.argmax(), m.shape) for m in made]
  rows, columns = zip(*places, strict=True)
  assert set(rows) == {6, 7, 8, 9, 10}
  assert set(columns) == {5, 6, 7, 8, 9, 10}  # mirrored: 7 for 8
