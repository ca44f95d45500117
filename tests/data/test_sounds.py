from __future__ import annotations

import collections
import sys
import types
import wave

import numpy as np
import pytest

from tagrec_jax.core.errors import UserError
from tagrec_jax.data.sounds import MISSING, RATE, read_clips


def tone(rate: int, seconds: float, hertz: float = 440.0) -> np.ndarray:
  return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)


def write(path, sound: np.ndarray, rate: int, width: int) -> str:
  """A WAV of samples [N] or [N, channels] from -1 to 1."""
  whole = np.round(sound * (2.0 ** (8 * width - 1) - 1)).astype(np.int64)
  if width == 1:
    whole += 128
  raw = whole.reshape(-1, 1).astype("<i8").view(np.uint8)[:, :width].tobytes()
  with wave.open(str(path), "wb") as file:
    file.setparams((sound[:1].size or 1, width, rate, 0, "NONE", ""))
    file.writeframes(raw)
  return str(path)


def read(*paths: str, seconds: float = 0.5):
  counts: collections.Counter[str] = collections.Counter()
  rows = read_clips(paths, seconds, counts)
  assert rows.dtype == np.int16
  assert rows.shape == (len(paths), round(seconds * RATE))
  return rows, counts


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_every_width_and_rate_sounds_the_same(tmp_path, width, rate):
  path = write(tmp_path / "a.wav", tone(rate, 1), rate, width)
  (row,), counts = read(path)
  assert not counts
  middle = slice(400, -400)  # the filter of resampling rings at the ends
  expected = 32_767 * tone(RATE, 0.5)
  error = row[middle] - expected[middle]
  assert np.abs(error).max() < 0.02 * 32_767


def test_sixteen_bits_at_the_rate_wanted_stay_as_they_are(tmp_path):
  sound = np.array([0, 1, -1, 12_345, 32_767, -32_768]) / 32_767
  (row,), _ = read(write(tmp_path / "a.wav", sound, RATE, 2), seconds=8 / RATE)
  # The lowest value stands for a missing clip only.
  assert row.tolist() == [0, 1, -1, 12_345, 32_766, -32_767, 0, 0]


def test_channels_become_one(tmp_path):
  sound = np.stack([np.full(9, 0.5), np.full(9, 0.25)], 1)
  (row,), _ = read(write(tmp_path / "a.wav", sound, RATE, 2), seconds=9 / RATE)
  assert np.abs(row - 0.375 * 32_767).max() <= 2


def test_long_ones_are_cut_and_short_ones_padded(tmp_path):
  long = write(tmp_path / "long.wav", tone(RATE, 2), RATE, 2)
  short = write(tmp_path / "short.wav", tone(RATE, 0.25), RATE, 2)
  rows, _ = read(long, short)
  assert rows[0, -100:].any()
  assert rows[1, :3900].any()
  assert not rows[1, 4000:].any()


def test_loud_ones_are_never_taken_for_missing(tmp_path):
  sound = np.where(np.arange(RATE) % 50 < 25, 1.0, -1.0)
  (row,), _ = read(write(tmp_path / "a.wav", sound, 11_025, 2))
  assert row.min() == -32_767
  assert row.max() == 32_767


def test_what_is_missing(tmp_path):
  without = write(tmp_path / "without.wav", np.zeros(0), RATE, 2)
  slow = write(tmp_path / "slow.wav", tone(RATE, 0.1), 10, 2)
  (tmp_path / "empty.wav").touch()
  paths = ["", str(tmp_path / "empty.wav"), without, slow, "none.wav"]
  rows, counts = read(*paths)
  assert (rows == MISSING).all()
  assert counts == {
    "clip: empty file": 1,
    "clip: without a sample": 1,
    "clip: absurd rate": 1,
    "clip: no file": 1,
  }


def test_cut_off_in_the_middle(tmp_path):
  path = tmp_path / "a.wav"
  write(path, tone(RATE, 1), RATE, 3)
  path.write_bytes(path.read_bytes()[:10_001])
  (row,), counts = read(str(path))
  assert not counts  # what is there can be heard
  assert row[:3000].any()
  assert not row[3400:].any()


def test_silence_is_not_missing(tmp_path):
  (row,), counts = read(write(tmp_path / "a.wav", np.zeros(99), RATE, 2))
  assert not row.any()
  assert not counts


def test_other_formats_need_another_package(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, "soundfile", None)
  path = tmp_path / "a.flac"
  path.write_bytes(b"fLaC")
  with pytest.raises(UserError, match=r"a\.flac.*Fix: pip .*tagrec_jax\[audio"):
    read(str(path))


class _Sound:
  """What soundfile gives: float samples [N, channels]."""

  samplerate = 8_000

  def __init__(self, path: str):
    if "bad" in path:
      raise _SoundError

  def __enter__(self):
    return self

  def __exit__(self, *error):
    pass

  def read(self, frames: int, always_2d: bool) -> np.ndarray:
    assert always_2d
    sound = np.stack([tone(8_000, 3)] * 2, 1)
    sound[-1] = np.nan
    return sound[:frames]


class _SoundError(RuntimeError):
  pass


def test_other_formats(tmp_path, monkeypatch):
  package = types.SimpleNamespace(SoundFile=_Sound, SoundFileError=_SoundError)
  monkeypatch.setitem(sys.modules, "soundfile", package)
  for name in ("a.ogg", "bad.ogg"):
    (tmp_path / name).write_bytes(b"OggS")
  rows, counts = read(*(str(tmp_path / n) for n in ("a.ogg", "bad.ogg")))
  assert counts == {"clip: not a clip, or damaged": 1}
  error = rows[0, 400:-400] - 32_767 * tone(RATE, 0.5)[400:-400]
  assert np.abs(error).max() < 0.02 * 32_767
  assert (rows[1] == MISSING).all()
