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
from jaxtyping import Array, Float, Float32, Int

from tagrec_jax.checkpoint import huggingface
from tagrec_jax.checkpoint.huggingface import Pooling
from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.log import say
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
    self.tokenizer = huggingface.tokenizer(folder, max_tokens)
    graph, self._params = nnx.split(self.model)

    @jax.jit
    def encode(
      params: nnx.State, ids_NS: Int[Array, "N S"]
    ) -> Float[Array, "N D"]:
      return pool(nnx.merge(graph, params)(ids_NS, None), read.pooling)

    self._encode = encode

  def tokens(self, texts: Sequence[str]) -> list[list[int]]:
    encoded = self.tokenizer.encode_batch_fast(list(texts))
    return [one.ids for one in encoded]

  def __call__(
    self, texts: Sequence[str], batch: int = 64
  ) -> Float32[np.ndarray, "N D"]:
    """Encodes texts of like length together.

    Args:
      batch: texts of `max_tokens` at a time; as many more as they are shorter.
    """
    vectors = np.empty((len(texts), self.model.config.width), np.float32)
    started = told = time.monotonic()
    done = 0
    rows = [np.array(ids, np.int32) for ids in self.tokens(texts)]
    for places, ids_NS in _batches(rows, self.max_tokens, batch):
      encoded = np.asarray(self._encode(self._params, ids_NS))
      vectors[places] = encoded[: len(places)]
      done += len(places)
      now = time.monotonic()
      if now - told > QUIET_SECONDS:
        told = now
        rate = done / (now - started)
        say(f"{done}/{len(texts)} texts encoded, {rate:.0f} a second")
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
  rows: Sequence[np.ndarray], max_tokens: int, batch: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """(places, ids [N, S]) with few different shapes, the longest texts first.

  A width is a multiple of 8, above 64 of 32, and has its own number of rows;
  shorter texts fill them up.
  """
  lengths = np.array([len(row) for row in rows], np.int64)
  step = np.where(lengths > 64, 32, 8)
  widths = np.minimum(-(-lengths // step) * step, max_tokens)
  order = np.argsort(-lengths, kind="stable")
  start = 0
  while start < len(order):
    width = int(widths[order[start]])
    count = max(batch * max_tokens // width, 1)
    places = order[start : start + count]
    ids_NS = np.full((count, width), UNKNOWN, np.int32)
    for line, place in enumerate(places):
      ids_NS[line, : lengths[place]] = rows[place]
    yield places, ids_NS
    start += count


def encode_texts(
  folder: str | pathlib.Path,
  texts: Sequence[str],
  max_tokens: int,
  batch: int = 64,
) -> Float32[np.ndarray, "N D"]:
  """One vector for each text; see `TextEncoder`."""
  return TextEncoder(folder, max_tokens)(texts, batch)
