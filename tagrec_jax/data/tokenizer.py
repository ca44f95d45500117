"""Texts as the tokens that a pretrained text encoder was trained on."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int32

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError

if TYPE_CHECKING:
  import tokenizers

_FILE = "tokenizer.json"


def read_tokenizer(folder: str) -> str:
  """The tokenizer.json of a folder, as Hugging Face writes it.

  Raises:
    UserError: if there is none, or it cannot be used.
  """
  path = pathlib.Path(folder) / _FILE
  try:
    text = path.read_text(encoding="utf-8")
  except (OSError, ValueError) as error:
    raise UserError(
      "config.data.pretrained_text",
      f"'{path}' cannot be read",
      f"a folder with {_FILE}, config.json and model.safetensors",
      "name the folder of an encoder as Hugging Face writes it",
    ) from error
  _tokenizer(text, path.as_posix())
  return text


def vocabulary_size(tokenizer: str) -> int:
  """How many tokens a tokenizer.json knows, special ones among them."""
  return _tokenizer(tokenizer).get_vocab_size()


def token_rows(
  texts: Sequence[str], tokenizer: str, width: int
) -> Int32[np.ndarray, "N width"]:
  """The tokens of each text, padded by UNKNOWN.

  A text that is too long is cut, the special tokens about it are not.

  Args:
    texts: '' has no tokens, not even special ones.
    tokenizer: the content of a tokenizer.json.
    width: tokens kept.

  Raises:
    UserError: if `width` has no room for the special tokens.
  """
  model = _tokenizer(tokenizer)
  least = model.num_special_tokens_to_add(False)
  if width <= least:
    raise UserError(
      "config.data.pretrained_tokens",
      f"found {width}",
      f"more than the {least} special tokens of each text",
      "set it to 64",
    )
  table = np.full((len(texts), width), UNKNOWN, np.int32)
  told = [row for row, text in enumerate(texts) if text.strip()]
  model.no_padding()
  model.enable_truncation(width)
  encoded = model.encode_batch([texts[row] for row in told])
  for row, tokens in zip(told, encoded, strict=True):
    table[row, : len(tokens.ids)] = tokens.ids
  return table


@functools.lru_cache(maxsize=2)
def _tokenizer(text: str, where: str = _FILE) -> tokenizers.Tokenizer:
  try:
    import tokenizers
  except ImportError:
    raise UserError(
      "config.data.pretrained_text",
      "the package tokenizers is not installed",
      "it, to read texts as a pretrained encoder does",
      'pip install "tagrec_jax[pretrained]"',
    ) from None
  try:
    return tokenizers.Tokenizer.from_str(text)
  # The binding raises nothing more special.
  except Exception as error:
    raise UserError(
      where,
      f"not readable ({str(error)[:80]})",
      "a tokenizer as Hugging Face writes it",
    ) from error
