"""Which tags has this product? They are written, until the set is complete."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.settings import Settings
from tagrec_jax.core.sums import Sum
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.spec import Part, batch_key
from tagrec_jax.data.tag_counts import TagCounts
from tagrec_jax.decoding import topk
from tagrec_jax.decoding.beam import Found, beam_search
from tagrec_jax.decoding.constraints import Constraints
from tagrec_jax.layers.noise import Noise
from tagrec_jax.models.decoder.ranking import Entries
from tagrec_jax.models.encoder.product import MakeEncoder
from tagrec_jax.models.tag_writer import TagWriter
from tagrec_jax.objectives.written import set_loss
from tagrec_jax.tasks.pure import Params, Pure

Batch = Mapping[str, Array]
Ready = tuple[Params, Entries]

WRITTEN = 1e-6
"""Scores of tags in the best set are above this, those of all others not."""


class WriteTags(Pure[TagWriter]):
  """The encoder-decoder and its loss as pure functions of parameters.

  Args:
    encoders: make the encoders of features, see `Tagger`.

  Attributes:
    reads_all, rows: no table has rows for products, so none are chosen.
    rules: what all sets obey.
  """

  reads_all = True
  rows = None

  def __init__(
    self,
    settings: Settings,
    dataset: Dataset,
    *,
    encoders: Mapping[str, MakeEncoder],
  ):
    prior = TagCounts.of(dataset).log_odds()
    super().__init__(
      lambda rngs: TagWriter(
        settings.model,
        dataset.spec,
        encoders=encoders,
        prior=prior,
        rngs=rngs,
      )
    )
    self._names = settings.model.product
    self._num_tags = dataset.spec.num_tags
    self._tag = {n: jnp.asarray(array) for n, array in dataset.tag.items()}
    self._beams = settings.model.beams
    self._most = settings.model.tags_written
    every = self._num_tags + dataset.spec.num_new_tags
    self.rules = Constraints(
      np.ones(every, bool), np.full(every, UNKNOWN, np.int32)
    )

  def under(self, rules: Constraints) -> WriteTags:
    """The same, but writing only what some rules allow."""
    ruled = copy.copy(self)
    ruled.rules = rules
    return ruled

  def losses(
    self,
    params: Params,
    batch: Batch,
    key: Array,
    shard: Array | int = 0,
    rows: Array | None = None,
  ) -> dict[str, Sum]:
    """The loss of sets, each written in an order that is drawn anew.

    Args:
      key: of all noise of this step.
      shard: number of this part of the batch, see `Noise`.
      rows: not used, no table has any.
    """
    del rows
    model = self._model(params)
    # Tags that came after training are no answers.
    tag = {name: array[: self._num_tags] for name, array in self._tag.items()}
    # Every device makes the same tags, so it needs the same noise.
    entries = model.tags.entries(tag, Noise(jax.random.fold_in(key, 1)))
    shuffled_BM = shuffled(
      batch["target_tags"], Noise(jax.random.fold_in(key, 2), shard)
    )
    wanted = self._most - shuffled_BM.shape[1]
    tags_BT = jnp.pad(
      shuffled_BM, ((0, 0), (0, max(wanted, 0))), constant_values=UNKNOWN
    )[:, : self._most]
    logits_BTV = model(
      self._product(batch), entries, tags_BT, Noise(key, shard)
    )
    return {"tags": set_loss(logits_BTV, shuffled_BM)}

  def prepare(self, params: Params) -> Ready:
    """The parameters, and the tags, also those that came after training."""
    return params, self._model(params).tags.entries(self._tag, None)

  def scores(self, ready: Ready, batch: Batch) -> dict[str, Array]:
    """What the sets that the beams found say of each tag, float32 [B, C].

    The score of a tag in the best set is the share of sets with it, by their
    probabilities; that of another tag is this share less 1; that of a tag in no
    set is -inf. Besides, 'probability' float32 [B] of the best set.

    Args:
      ready: of `prepare`.
    """
    found = self.write(ready, batch)
    rows, _, _ = found.tokens_BWT.shape
    size = len(ready[1].bias_C)
    weight_BW = jax.nn.softmax(found.scores_BW)
    columns_BWT = jnp.where(found.tokens_BWT < 0, size, found.tokens_BWT)
    rows_B11 = jnp.arange(rows)[:, None, None]
    share_BC = (
      jnp.zeros((rows, size))
      .at[rows_B11, columns_BWT]
      .add(
        jnp.broadcast_to(weight_BW[..., None], columns_BWT.shape), mode="drop"
      )
    )
    best_BC = (
      jnp.zeros((rows, size), bool)
      .at[rows_B11[:, 0], columns_BWT[:, 0]]
      .set(True, mode="drop")
    )
    scores_BC = jnp.where(best_BC, share_BC, jnp.minimum(share_BC - 1, 0.0))
    scores_BC = jnp.where(share_BC > 0, scores_BC, topk.NEVER)
    return {"tags": scores_BC, "probability": jnp.exp(found.scores_BW[:, 0])}

  def write(self, ready: Ready, batch: Batch) -> Found:
    """The most likely sets of each product, best first."""
    params, entries = ready
    model = self._model(params)
    writing = model.begin(self._product(batch))
    rows, end = len(writing.start_B1D), len(entries.bias_C)
    # A model without content of tags knows only those of training.
    rules = Constraints(self.rules.allowed_C[:end], self.rules.groups_C[:end])

    def step(
      written: Any, tags_BW: Int[Array, "B W"], place: Array
    ) -> tuple[Array, Any]:
      return model.step(writing, entries, written, tags_BW, place)

    def allowed(tags_BWT: Int[Array, "B W T"]) -> Bool[Array, "B W V"]:
      may_end = ((0, 0), (0, 0), (0, 1))
      return jnp.pad(rules.after(tags_BWT), may_end, constant_values=True)

    return beam_search(
      step,
      model.decoder.nothing(rows, self._beams, self._most),
      rows=rows,
      width=self._beams,
      length=self._most,
      end=end,
      allowed=allowed,
      sets=True,
    )

  def _product(self, batch: Batch) -> dict[str, Array]:
    return {name: batch[batch_key(Part.PRODUCT, name)] for name in self._names}


def shuffled(ids_BM: Int[Array, "B M"], noise: Noise) -> Int[Array, "B M"]:
  """Each row in an order of its own; UNKNOWN stays at the end."""
  drawn_BM = noise.uniform(ids_BM.shape, 0.0, 1.0)
  order_BM = jnp.argsort(jnp.where(ids_BM >= 0, drawn_BM, 2.0), axis=1)
  return jnp.take_along_axis(ids_BM, order_BM, axis=1)
