"""Sound → how loud each pitch is, every hundredth of a second."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int

RATE = 16_000  # samples a second
FRAME, HOP = 400, 160  # samples: 25 ms, every 10 ms
FFT = 512
BANDS = 64
FLOOR = 1e-6  # power of what is silent; a full tone has 10⁴


def mel_filters(
  bands: int = BANDS, low: float = 20.0, high: float = RATE / 2
) -> Float32[np.ndarray, "frequencies bands"]:
  """Triangles, evenly spaced in mel = 2595 log10(1 + Hz / 700).

  Each is 1 at its middle and 0 at the middles of its neighbours.
  """
  first, last = 2595 * np.log10(1 + np.array([low, high]) / 700)
  middles = 700 * (10 ** (np.linspace(first, last, bands + 2) / 2595) - 1)
  hertz = np.fft.rfftfreq(FFT, 1 / RATE)[:, None]
  rising = (hertz - middles[:-2]) / (middles[1:-1] - middles[:-2])
  falling = (middles[2:] - hertz) / (middles[2:] - middles[1:-1])
  return np.maximum(np.minimum(rising, falling), 0).astype(np.float32)


def num_frames(samples: int) -> int:
  """A frame for each HOP that begins within the clip."""
  return -(-samples // HOP)


def log_mel(samples: Int[Array, "N samples"]) -> Float[Array, "N frames bands"]:
  """log(FLOOR + power) of each band in each frame.

  Frame i is of the samples from HOP · i on, with zeros after the clip's end,
  under a Hann window.

  Args:
    samples: 16 bits.
  """
  frames = num_frames(samples.shape[1])
  x = samples.astype(jnp.float32) / 2**15
  x = jnp.pad(x, ((0, 0), (0, frames * HOP + FRAME - x.shape[1])))
  places = HOP * np.arange(frames)[:, None] + np.arange(FRAME)
  window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)
  framed = x[:, places] * jnp.asarray(window, jnp.float32)[None, None]
  power = jnp.abs(jnp.fft.rfft(framed, FFT)) ** 2
  return jnp.log(FLOOR + power @ jnp.asarray(mel_filters()))
