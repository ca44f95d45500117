"""Texts → vectors of a pretrained encoder that is not trained here."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32, Int, Int32

from tagrec_jax.checkpoint import huggingface
from tagrec_jax.checkpoint.huggingface import Pooling
from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.log import say
from tagrec_jax.data.tokenizer import read_tokenizer, token_rows
from tagrec_jax.layers.tokens import Tokens
from tagrec_jax.models.encoder import bert_weights

QUIET_SECONDS = 10.0
"""Between two lines of progress."""


class TextEncoder:
  """A folder's tokenizer and encoder, compiled once for each width of texts.

  Args:
    folder: config.json, model.safetensors and tokenizer.json.
    max_tokens: of each text that are read, marks of begin and end among them.

  Raises:
    UserError: what the folder holds cannot be read or is not understood.
  """

  def __init__(
    self,
    folder: str | pathlib.Path,
    max_tokens: int,
    *,
    dtype: Any = jnp.float32,
  ):
    read = huggingface.read(folder)
    self.model = bert_weights.load(
      read.config, read.tensors, str(folder), dtype=dtype
    )
    config = self.model.config
    most = config.positions - config.first_position
    if max_tokens > most:
      raise UserError(
        "config.data.pretrained_tokens",
        f"found {max_tokens}",
        f"at most {most}, the positions of {folder}",
      )
    self.max_tokens = max_tokens
    self._tokenizer = read_tokenizer(str(folder))
    graph, self._params = nnx.split(self.model)

    @jax.jit
    def encode(
      params: nnx.State, ids_NS: Int[Array, "N S"]
    ) -> Float[Array, "N D"]:
      return pool(nnx.merge(graph, params)(ids_NS, None), read.pooling)

    self._encode = encode

  def tokens(self, texts: Sequence[str]) -> Int32[np.ndarray, "N S"]:
    """The tokens of each text, padded by UNKNOWN; '' has none."""
    return token_rows(texts, self._tokenizer, self.max_tokens)

  def __call__(
    self, ids_NS: Int32[np.ndarray, "N S"], batch: int = 64
  ) -> Float32[np.ndarray, "N D"]:
    """Encodes texts of like length together.

    Args:
      ids_NS: as `tokens` makes them, or the feature 'tokens' of a data set.
      batch: texts of `max_tokens` at a time; as many more as they are shorter.

    Returns:
      A vector for each text; NaN where a text has no token.
    """
    lengths = (ids_NS != UNKNOWN).sum(1)
    told = np.flatnonzero(lengths)
    shape = (len(ids_NS), self.model.config.width)
    vectors = np.full(shape, np.nan, np.float32)
    started = before = time.monotonic()
    done = 0
    for places, part_NS in _batches(
      ids_NS[told], lengths[told], self.max_tokens, batch
    ):
      encoded = np.asarray(self._encode(self._params, part_NS))
      vectors[told[places]] = encoded[: len(places)]
      done += len(places)
      now = time.monotonic()
      if now - before > QUIET_SECONDS:
        before = now
        rate = done / (now - started)
        left = (len(told) - done) / rate
        say(
          f"{done:,} of {len(told):,} texts encoded, {rate:,.0f} a second,"
          f" {left:,.0f} s to go"
        )
    return vectors


def pool(tokens: Tokens, pooling: Pooling) -> Float[Array, "N D"]:
  """One vector a text, as sentence-transformers makes it."""
  vectors_ND = (
    tokens.values_NSD[:, 0] if pooling.mode == "cls" else tokens.mean()
  )
  if pooling.normalised:
    length_N1 = jnp.linalg.norm(vectors_ND, axis=1, keepdims=True)
    vectors_ND = vectors_ND / jnp.maximum(length_N1, 1e-12)
  return vectors_ND


def _batches(
  ids_NS: np.ndarray, lengths: np.ndarray, max_tokens: int, batch: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """(places, ids [N, S]) with few different shapes, the longest texts first.

  A width is a multiple of 8, above 64 of 32, and has its own number of rows;
  shorter texts fill them up.
  """
  step = np.where(lengths > 64, 32, 8)
  widths = np.minimum(-(-lengths // step) * step, max_tokens)
  order = np.argsort(-lengths, kind="stable")
  start = 0
  while start < len(order):
    width = int(widths[order[start]])
    count = max(batch * max_tokens // width, 1)
    places = order[start : start + count]
    part_NS = np.full((count, width), UNKNOWN, np.int32)
    part_NS[: len(places), : ids_NS.shape[1]] = ids_NS[places, :width]
    yield places, part_NS
    start += count


def encode_texts(
  folder: str | pathlib.Path,
  texts: Sequence[str],
  max_tokens: int,
  batch: int = 64,
) -> Float32[np.ndarray, "N D"]:
  """One vector for each text; see `TextEncoder`."""
  encoder = TextEncoder(folder, max_tokens)
  return encoder(encoder.tokens(texts), batch)
