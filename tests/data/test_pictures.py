from __future__ import annotations

import collections
import io
import os
import pathlib
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from tagrec_jax.data import media, pictures
from tagrec_jax.data.pictures import read_pictures

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


@pytest.fixture
def read(tmp_path):
  """Writes a file; gives its pixels, or why it is missing."""

  def read(
    content: bytes | Image.Image, size: int = 8, end: str = "png", **how
  ):
    path = tmp_path / f"a.{end}"
    if isinstance(content, Image.Image):
      content.save(path, **how)
    else:
      path.write_bytes(content)
    counts: collections.Counter[str] = collections.Counter()
    (pixels,) = read_pictures([str(path)], size, counts)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (size, size, 3)
    if not counts:
      assert (pixels > 0).all()
      return pixels
    assert not pixels.any()
    assert sum(counts.values()) == 1
    return next(iter(counts))

  return read


def assert_near(pixel, colour) -> None:
  assert np.abs(pixel.astype(int) - colour).max() <= 4, pixel


def halves(left=RED, right=BLUE, size=(40, 20)) -> Image.Image:
  picture = Image.new("RGB", size, left)
  picture.paste(right, (size[0] // 2, 0, *size))
  return picture


def test_fits_a_square_with_white_about_it(read):
  pixels = read(halves())  # 40 × 20 → 8 × 4
  assert_near(pixels[0], WHITE)
  assert_near(pixels[7], WHITE)
  assert_near(pixels[3, 1], RED)
  assert_near(pixels[4, 6], BLUE)
  # 1 stands for 0, which is what a missing picture is.
  assert pixels[3, 1].tolist() == [255, 1, 1]


def test_small_ones_are_enlarged(read):
  assert_near(read(Image.new("RGB", (1, 1), RED)), RED)


@pytest.mark.parametrize("size", [(5000, 1), (1, 5000)])
def test_lines(read, size):
  assert_near(read(Image.new("RGB", size, WHITE)), WHITE)


def test_transparent_is_white(read):
  picture = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
  picture.paste((*RED, 255), (0, 0, 4, 8))
  picture.paste((0, 0, 0, 128), (4, 4, 8, 8))
  pixels = read(picture)
  assert_near(pixels[4, 1], RED)
  assert_near(pixels[1, 6], WHITE)
  assert_near(pixels[6, 6], (127, 127, 127))


def test_a_transparent_colour_of_a_palette_is_white(read):
  picture = Image.new("P", (8, 8), 1)
  picture.putpalette([*RED, *BLUE])
  picture.paste(0, (0, 0, 4, 8))
  pixels = read(picture, transparency=1)
  assert_near(pixels[4, 1], RED)
  assert_near(pixels[4, 6], WHITE)


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "CMYK", "YCbCr", "I;16"])
def test_other_colours(read, mode):
  white = Image.new("RGB", (8, 8), WHITE)
  if mode == "I;16":
    picture = Image.fromarray(np.full((8, 8), 40_000, np.uint16))
    assert_near(read(picture), (156, 156, 156))
    return
  end = "jpg" if mode in ("CMYK", "YCbCr") else "png"
  assert_near(read(white.convert(mode), end=end), WHITE)


@pytest.mark.parametrize("end", ["jpg", "webp", "gif", "bmp", "tiff"])
def test_formats(read, end):
  pixels = read(halves(size=(400, 400)), end=end)
  assert_near(pixels[4, 1], RED)
  assert_near(pixels[4, 6], BLUE)


def test_turned_as_the_camera_says(read):
  turned = Image.Exif()
  turned[0x0112] = 6  # the first row is the right side
  pixels = read(halves(size=(40, 40)), end="jpg", exif=turned, quality=95)
  assert_near(pixels[1, 4], RED)
  assert_near(pixels[6, 4], BLUE)


def encoded(picture: Image.Image, kind: str = "PNG") -> bytes:
  file = io.BytesIO()
  picture.save(file, kind)
  return file.getvalue()


def bomb(width: int, height: int) -> bytes:
  """A PNG that says it is large, and has nothing but its first byte."""

  def chunk(kind: bytes, content: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + crc

  header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
  pixels = chunk(b"IDAT", zlib.compress(b"\0"))
  return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels


NOISE = Image.fromarray(
  np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
)


@pytest.mark.parametrize(
  ("content", "reason"),
  [
    (b"", "empty file"),
    (b"<html><body>404</body></html>", "not a picture"),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
    (b"\x89PNG\r\n\x1a\n", "not a picture"),
    (encoded(NOISE)[:3000], "damaged"),
    (encoded(NOISE, "JPEG")[:1500], "damaged"),
    (bomb(10_000, 10_000), "too many pixels"),
    (bomb(100_000, 100_000), "too many pixels"),
    (bomb(5, 5), "damaged"),
  ],
  ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_read(read, content, reason):
  assert read(content) == f"picture: {reason}"


def test_any_byte_may_be_wrong(read):
  whole = encoded(NOISE)
  rng = np.random.default_rng(1)
  for place in rng.integers(0, len(whole), 60).tolist():
    broken = bytearray(whole)
    broken[place] ^= 1 << int(rng.integers(8))
    read(bytes(broken))  # pixels or a reason, never an error


def test_the_limit_is_checked_before_decoding(read, monkeypatch):
  content = encoded(Image.new("RGB", (8, 8)))
  monkeypatch.setattr(pictures, "MAX_PIXELS", 63)
  monkeypatch.setattr(ImageFile.ImageFile, "load", None)
  assert read(content) == "picture: too many pixels"


def large(path, width: int, height: int) -> None:
  """A whole white PNG, written row by row."""
  packer = zlib.compressobj(1)
  row = b"\0" + b"\xff" * width
  packed = b"".join(packer.compress(row) for _ in range(height))
  content = bomb(width, height).replace(b"\x08\x02", b"\x08\x00", 1)  # grey
  header = content[16:29]
  crc = struct.pack(">I", zlib.crc32(b"IHDR" + header))
  packed += packer.flush()
  data = struct.pack(">I", len(packed)) + b"IDAT" + packed
  data += struct.pack(">I", zlib.crc32(b"IDAT" + packed))
  path.write_bytes(content[:29] + crc + data)


def peak_bytes(call) -> int:
  """How much the memory of this process rose meanwhile, at most."""

  def told(name: str) -> int:
    text = pathlib.Path("/proc/self/status").read_text()
    return 1024 * int(text.split(f"{name}:")[1].split()[0])

  try:
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # forgets the peak
  except OSError:
    pytest.skip("the peak of memory can be asked for on Linux only")
  before = told("VmRSS")
  call()
  return told("VmHWM") - before


@pytest.mark.parametrize(
  ("size", "missing", "most"),
  [
    ((10_000, 10_000), True, 2**24),  # 100 megapixels: only its header is read
    pytest.param((8192, 4096), False, 2**29, marks=pytest.mark.nightly),
  ],
)
def test_memory_is_bounded(tmp_path, size, missing, most):
  path = tmp_path / "large.png"
  large(path, *size)
  counts: collections.Counter[str] = collections.Counter()
  rose = peak_bytes(lambda: read_pictures([str(path)], 8, counts))
  assert rose < most
  assert counts == ({"picture: too many pixels": 1} if missing else {})


def test_missing_and_strange_files(tmp_path, monkeypatch):
  good = tmp_path / "good.png"
  Image.new("RGB", (4, 4), RED).save(good)
  os.mkfifo(tmp_path / "pipe")
  (tmp_path / "link").symlink_to("/dev/zero")
  monkeypatch.setattr(media, "LARGEST_FILE", good.stat().st_size)
  large = tmp_path / "large.png"
  large.write_bytes(good.read_bytes() + b"0")
  paths = [
    *("", str(tmp_path / "none.png"), str(tmp_path), str(tmp_path / "pipe")),
    *(str(tmp_path / "link"), str(large), "a\0b", str(good)),
  ]
  counts: collections.Counter[str] = collections.Counter()
  found = read_pictures(paths, 4, counts)
  assert found.any((1, 2, 3)).tolist() == [False] * 7 + [True]
  assert counts == {
    "picture: no file": 2,
    "picture: not a file": 3,
    "picture: file too large": 1,
  }


def test_says_how_far_it_is(tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(media, "_QUIET_SECONDS", 0.0)
  read_pictures([str(tmp_path / "none")] * 3, 4, collections.Counter())
  (*_, last) = capsys.readouterr().err.splitlines()
  assert last.startswith("3 of 3 pictures read, ")


def test_open_clip_art(data_folder):
  paths = sorted((data_folder / "openclipart" / "images").iterdir())[::100]
  counts: collections.Counter[str] = collections.Counter()
  found = read_pictures([str(path) for path in paths], 32, counts)
  assert not counts
  assert (found > 0).all()
  assert 20 < found.std() < 120
