"""Encoders of sound."""

import jax.numpy as jnp
import numpy as np
import pytest

from tagrec_jax.data.spec import Feature, Kind, Part
from tagrec_jax.layers.logmel import RATE
from tagrec_jax.models.encoder import audio
from tagrec_jax.models.encoder.audio import (
  MISSING,
  CNNAudio,
  TransformerAudio,
  read_sound,
)
from tests.models.encoder.made import (
  axes_fit,
  check_missing,
  learns,
  model_settings,
  rngs,
  run,
)

SAMPLES = 4800
AUDIO = Feature("audio", Part.PRODUCT, Kind.AUDIO, width=SAMPLES)
ENCODERS = [CNNAudio, TransformerAudio]


def sounds(count):
  """Tones, rising chirps and noise, in turn, of any pitch and loudness."""
  random = np.random.default_rng(0)
  seconds = np.arange(SAMPLES) / RATE
  rows, labels = [], np.arange(count) % 3
  for label in labels:
    hertz = random.uniform(300, 1500)
    rise = 6000 if label == 1 else 0
    wave = np.sin(2 * np.pi * (hertz + rise * seconds) * seconds)
    if label == 2:
      wave = random.normal(size=SAMPLES) / 3
    noise = 0.01 * random.normal(size=SAMPLES)
    rows.append(10 ** random.uniform(3, 4) * (wave + noise))
  return jnp.asarray(np.clip(rows, -32767, 32767).astype(np.int16)), labels


@pytest.mark.parametrize("cls", ENCODERS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_missing_says_nothing(cls, dtype):
  encoder = cls(AUDIO, model_settings(compute_dtype=dtype), rngs())
  check_missing(encoder, jnp.full((2, SAMPLES), MISSING, jnp.int16))
  assert axes_fit(encoder)


@pytest.mark.parametrize("cls", ENCODERS)
def test_padding_is_not_read(cls):
  """A clip alone, in an array that it fills: the same vector."""
  clip = sounds(2)[0][1:2]
  settings = model_settings(positions="rotary")
  encoder = cls(AUDIO, settings, rngs())
  part = run(encoder, clip[:, :2400]).mean()
  whole = run(encoder, clip.at[:, 2400:].set(0)).mean()
  np.testing.assert_allclose(whole, part, atol=2e-4)
  assert np.abs(whole - run(encoder, clip).mean()).max() > 1e-2


def test_frames_end_with_the_clip_and_loudness_is_taken_out():
  clip = sounds(3)[0][2:3]
  x, there = read_sound(clip.at[:, 1600:].set(0))
  assert there.sum() == 10
  np.testing.assert_array_equal(x[0, 10:], 0)
  assert abs(float(x.sum())) < 1e-2
  louder, _ = read_sound(2 * (clip // 4))
  softer, _ = read_sound(clip // 4)
  np.testing.assert_allclose(louder, softer, atol=0.02)


def test_silence_is_there():
  x, there = read_sound(jnp.zeros((1, SAMPLES), jnp.int16))
  assert there.sum() == 1
  np.testing.assert_allclose(x, 0, atol=1e-5)


@pytest.mark.parametrize("cls", ENCODERS)
def test_it_tells_tones_chirps_and_noise_apart(cls, monkeypatch):
  monkeypatch.setattr(audio, "WIDTHS", (8, 16, 16))  # to be fast
  values, labels = sounds(30)
  encoder = cls(AUDIO, model_settings(), rngs())
  before, after = learns(encoder, values, labels, steps=60)
  assert before < 0.7
  assert after > 0.95
