"""Sound files → clips of one length and rate."""

from __future__ import annotations

import collections
import functools
import math
import wave
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int16

from tagrec_jax.core.errors import UserError
from tagrec_jax.data.media import BadMedia, read_all

RATE = 16_000
"""Samples a second of every clip."""
MISSING = -32_768
"""Every sample of a clip that is missing; a real one has none."""

_LOUDEST = 32_767
_RATES = range(1_000, 400_000)  # of files; others are damage, and slow


def read_clips(
  paths: Sequence[str], seconds: float, counts: collections.Counter[str]
) -> Int16[np.ndarray, "N samples"]:
  """The beginning of each clip, all channels as one, padded by silence.

  WAV of whole numbers needs no other package; what else there is (FLAC, MP3,
  Ogg) is read by soundfile.

  Args:
    paths: of the files, '' where there is none.
    seconds: kept of each clip.
    counts: takes why clips are missing.

  Raises:
    UserError: if soundfile is needed and not installed.
  """
  samples = max(round(seconds * RATE), 1)
  rows = np.full((len(paths), samples), MISSING, np.int16)
  read = functools.partial(_read, samples=samples)
  read_all("clip", paths, rows, read, counts)
  return rows


def _read(path: str, samples: int) -> Int16[np.ndarray, " samples"]:
  import scipy.signal  # takes as long to import as all of the rest

  seconds = samples / RATE
  try:
    sound, rate = _read_wav(path, seconds)
  except (wave.Error, EOFError):  # not WAV, or not of whole numbers
    sound, rate = _read_other(path, seconds)
  if not len(sound):
    raise BadMedia("without a sample")
  common = math.gcd(RATE, rate)
  even = scipy.signal.resample_poly(sound, RATE // common, rate // common)
  loud = np.clip(np.round(even[:samples] * _LOUDEST), -_LOUDEST, _LOUDEST)
  row = np.zeros(samples, np.int16)
  row[: len(loud)] = loud
  return row


def _read_wav(
  path: str, seconds: float
) -> tuple[Float[np.ndarray, " samples"], int]:
  """Samples from -1 to 1, and how many make a second."""
  with wave.open(path, "rb") as file:
    channels, width, rate = file.getparams()[:3]
    raw = file.readframes(_frames(rate, seconds))
  if width == 1:  # the only width without a sign
    whole = np.frombuffer(raw, np.uint8).astype(np.float64) - 128
  else:
    whole_samples = np.frombuffer(raw, np.uint8)
    whole_samples = whole_samples[: len(raw) // width * width]
    # The bytes become the highest ones of 4, which keep the sign.
    wide = np.zeros((len(whole_samples) // width, 4), np.uint8)
    wide[:, 4 - width :] = whole_samples.reshape(-1, width)
    whole = wide.view("<i4")[:, 0] / 2.0 ** (32 - 8 * width)
  whole = whole[: len(whole) // channels * channels]
  return whole.reshape(-1, channels).mean(1) / 2.0 ** (8 * width - 1), rate


def _read_other(
  path: str, seconds: float
) -> tuple[Float[np.ndarray, " samples"], int]:
  """As `_read_wav`, of any file that libsndfile reads."""
  try:
    import soundfile
  except (ImportError, OSError):  # OSError: without libsndfile
    raise UserError(
      path,
      "not WAV of whole numbers, and soundfile is not installed",
      "a package that reads other formats",
      'pip install "tagrec_jax[audio]"',
    ) from None
  try:
    with soundfile.SoundFile(path) as file:
      rate = file.samplerate
      sound = file.read(_frames(rate, seconds), always_2d=True)
  except (soundfile.SoundFileError, OSError, ValueError):
    raise BadMedia("not a clip, or damaged") from None
  # Formats of floating point can hold what is not a number.
  return np.nan_to_num(sound.mean(1)), rate


def _frames(rate: int, seconds: float) -> int:
  """How many to read, a little more than are kept.

  Raises:
    BadMedia: for a rate that cannot be.
  """
  if rate not in _RATES:
    raise BadMedia("absurd rate")
  return math.ceil(rate * (seconds + 0.1))
