"""Picture files → squares of pixels."""

from __future__ import annotations

import collections
import functools
import struct
import warnings
import zlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from tagrec_jax.data.media import BadMedia, read_all

MAX_PIXELS = 2**25
"""A picture of more is not decoded: 8000 × 4000 pass."""

# What shops use. Others have decoders that start programs (EPS) or are seldom
# tried.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")

# What PIL raises for damaged files, besides its own errors, which are OSError.
_DAMAGED = (
  *(OSError, SyntaxError, ValueError, TypeError, AssertionError),
  *(ArithmeticError, LookupError, EOFError, MemoryError),
  *(struct.error, zlib.error, Image.DecompressionBombError),
)


def read_pictures(
  paths: Sequence[str], size: int, counts: collections.Counter[str]
) -> UInt8[np.ndarray, "N size size 3"]:
  """Each picture, upright and whole, in the middle of a white square.

  Args:
    paths: of the files, '' where there is none.
    size: pixels of a side.
    counts: takes why pictures are missing.

  Returns:
    Red, green, blue from 1 to 255; 0 where a picture is missing.
  """
  rows = np.zeros((len(paths), size, size, 3), np.uint8)
  read = functools.partial(_read, size=size)
  with warnings.catch_warnings():
    # PIL's own limit is higher, and only warns.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    read_all("picture", paths, rows, read, counts)
  return rows


def _read(path: str, size: int) -> UInt8[np.ndarray, "size size 3"]:
  try:
    # Opening reads the header only.
    with Image.open(path, formats=_FORMATS) as picture:
      if picture.width * picture.height > MAX_PIXELS:
        raise BadMedia("too many pixels")
      # JPEG is decoded at a smaller scale, if that still is large enough.
      picture.draft("RGB", (2 * size, 2 * size))
      upright = ImageOps.exif_transpose(picture)
      square = ImageOps.pad(
        _on_white(upright),
        (size, size),
        Image.Resampling.BICUBIC,
        color="white",
      )
  except BadMedia:
    raise
  except Image.UnidentifiedImageError:
    raise BadMedia("not a picture") from None
  except Image.DecompressionBombError:
    raise BadMedia("too many pixels") from None
  except _DAMAGED:
    raise BadMedia("damaged") from None
  return np.maximum(np.asarray(square), 1)


def _on_white(picture: Image.Image) -> Image.Image:
  """In RGB, with white behind what is transparent."""
  if picture.mode.startswith("I"):  # 16 bits, which PIL would clip to 8
    grey = np.clip(np.asarray(picture, np.int64) >> 8, 0, 255)
    picture = Image.fromarray(grey.astype(np.uint8))
  if not picture.has_transparency_data:
    return picture.convert("RGB")
  layer = picture.convert("RGBA")
  white = Image.new("RGBA", layer.size, "white")
  return Image.alpha_composite(white, layer).convert("RGB")
