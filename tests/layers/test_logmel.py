"""The spectrogram against slow numpy and scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal

from tagrec_jax.layers.logmel import (
  BANDS,
  FFT,
  FLOOR,
  FRAME,
  HOP,
  RATE,
  log_mel,
  mel_filters,
  num_frames,
)


@pytest.fixture(scope="module")
def clips():
  random = np.random.default_rng(0)
  return random.integers(-8000, 8000, (2, 3001)).astype(np.int16)


def slow(clip):
  """One frame and one band after the other, by sums of cosines and sines."""
  x = np.concatenate([clip / 2**15, np.zeros(FRAME)])
  n = np.arange(FRAME)
  hann = np.sin(np.pi * n / FRAME) ** 2
  k = np.arange(FFT // 2 + 1)[:, None]
  cos, sin = np.cos(2 * np.pi * k * n / FFT), np.sin(2 * np.pi * k * n / FFT)
  rows = []
  for start in range(0, len(clip), HOP):
    frame = hann * x[start : start + FRAME]
    power = (cos @ frame) ** 2 + (sin @ frame) ** 2
    rows.append([np.log(FLOOR + power @ band) for band in mel_filters().T])
  return np.array(rows)


def test_it_equals_slow_sums(clips):
  made = jax.jit(log_mel)(jnp.asarray(clips))
  assert made.shape == (2, num_frames(3001), BANDS) == (2, 19, 64)
  for row, clip in zip(made, clips, strict=True):
    np.testing.assert_allclose(row, slow(clip), atol=1e-3)


def test_it_equals_scipy(clips):
  """Where frames lie within the clip: scipy knows no end of it."""
  _, _, spectrum = scipy.signal.stft(
    clips / 2**15,
    nperseg=FRAME,
    noverlap=FRAME - HOP,
    nfft=FFT,
    window="hann",
    boundary=None,
    padded=False,
  )
  power = np.abs(spectrum * FRAME / 2) ** 2  # scipy divides by Σ window
  wanted = np.log(FLOOR + power.swapaxes(1, 2) @ mel_filters())
  made = log_mel(jnp.asarray(clips))[:, : wanted.shape[1]]
  np.testing.assert_allclose(made, wanted, atol=1e-3)


def test_a_tone_is_loudest_in_its_own_band():
  filters = mel_filters()
  assert filters.shape == (FFT // 2 + 1, BANDS)
  for hertz in (440, 1000, 4000):
    tone = 16000 * np.sin(2 * np.pi * hertz * np.arange(4000) / RATE)
    loud = log_mel(jnp.asarray(tone[None], jnp.int16))[0, 5]
    band = filters[round(hertz * FFT / RATE)].argmax()
    assert abs(int(loud.argmax()) - band) <= 1


def test_silence_is_the_floor():
  made = log_mel(jnp.zeros((1, 320), jnp.int16))
  np.testing.assert_allclose(made, np.log(FLOOR), rtol=1e-5)
