"""Which product does this person take next? Its codes are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.settings import Settings
from tagrec_jax.core.sums import Sum
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.spec import CODES, ID
from tagrec_jax.decoding import topk
from tagrec_jax.decoding.beam import Found, beam_search
from tagrec_jax.decoding.trie import Trie
from tagrec_jax.layers.noise import Noise
from tagrec_jax.models.encoder.product import MakeEncoder
from tagrec_jax.models.item_writer import ItemWriter
from tagrec_jax.objectives.written import code_loss
from tagrec_jax.tasks.pure import Params, Pure

Batch = Mapping[str, Array]
Ready = tuple[Params, Array]


class WriteItem(Pure[ItemWriter]):
  """The encoder-decoder and its loss as pure functions of parameters.

  Args:
    dataset: with codes, see `with_codes`.
    encoders, history: make the encoders, see `Recommender`.

  Attributes:
    reads_all, rows: every step reads the vectors of all products.
  """

  reads_all = True
  rows = None

  def __init__(
    self,
    settings: Settings,
    dataset: Dataset,
    *,
    encoders: Mapping[str, MakeEncoder],
    history: Callable[..., nnx.Module],
  ):
    codes_CL = dataset.product[CODES]
    self._num_items = dataset.spec.num_items
    self._beams = settings.model.beams
    self._every_CL = jnp.asarray(codes_CL)
    self._codes_CL = self._every_CL[: self._num_items]
    size, levels = int(codes_CL.max()) + 1, codes_CL.shape[1]
    # New products cannot be right while training, so they do not compete then.
    self._trained = Trie.of(codes_CL[: self._num_items], size)
    self._every = Trie.of(codes_CL, size)
    super().__init__(
      lambda rngs: ItemWriter(
        settings.model,
        dataset.spec,
        encoders=encoders,
        history=history,
        max_positions=settings.pipeline.max_history,
        levels=levels,
        size=size,
        rngs=rngs,
      )
    )
    self._product = {
      name: jnp.asarray(dataset.product[name])
      for name in settings.model.product
      if name != ID
    }

  def losses(
    self,
    params: Params,
    batch: Batch,
    key: Array,
    shard: Array | int = 0,
    rows: Array | None = None,
  ) -> dict[str, Sum]:
    """-log p of the next product at every position.

    Args:
      key: of all noise of this step.
      shard: number of this part of the batch, see `Noise`.
      rows: not used, all products are read.
    """
    del rows
    model = self._model(params)
    product = {n: v[: self._num_items] for n, v in self._product.items()}
    # Every device encodes the same products, so it needs the same noise.
    vectors = model.vectors(
      product, self._codes_CL, Noise(jax.random.fold_in(key, 1))
    )
    next_BT = batch["target_ids"]
    counted_BT = (next_BT >= 0) & (next_BT < self._num_items)
    entries_BT = jnp.where(counted_BT, next_BT, 0)
    codes_BTL = jnp.where(
      counted_BT[..., None], self._codes_CL[entries_BT], UNKNOWN
    )
    logits_BTLK = model.logits(batch, vectors, codes_BTL, Noise(key, shard))
    may_BTLK = self._trained.before(entries_BT)
    return {"items": code_loss(logits_BTLK, may_BTLK, codes_BTL)}

  def prepare(self, params: Params) -> Ready:
    """The parameters, and the vectors of all products."""
    model = self._model(params)
    return params, model.vectors(self._product, self._every_CL)

  def scores(
    self, ready: Ready, batch: Batch
  ) -> dict[str, Float[Array, "B C"]]:
    """log(C · p) of the products that the beams found; -inf of all others.

    The factor C makes 0 the score of an even guess, as in `interpolate`.

    Args:
      ready: of `prepare`.
    """
    found = self.write(ready, batch)
    entries_BW = self._every.entries(found.tokens_BWT)
    size = len(ready[1])
    scores_BC = jnp.full((len(entries_BW), size), topk.NEVER)
    rows_B1 = jnp.arange(len(entries_BW))[:, None]
    columns_BW = jnp.where(entries_BW < 0, size, entries_BW)
    scores_BW = found.scores_BW + np.log(size)
    scores_BC = scores_BC.at[rows_B1, columns_BW].set(scores_BW, mode="drop")
    return {"items": scores_BC}

  def write(self, ready: Ready, batch: Batch) -> Found:
    """The codes of the most likely next products, at `last` of each row."""
    params, vectors_CD = ready
    model = self._model(params)
    writing = model.begin(batch, vectors_CD)
    rows, length = len(writing.start_B1D), self._codes_CL.shape[1]

    def step(
      written: Any, codes_BW: Int[Array, "B W"], place: Array
    ) -> tuple[Array, Any]:
      return model.step(writing, written, codes_BW, place)

    return beam_search(
      step,
      model.decoder.nothing(rows, self._beams, length),
      rows=rows,
      width=self._beams,
      length=length,
      allowed=self._every.after,
    )
