"""Which product does this person take next, and which tags will it have?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.settings import Settings
from tagrec_jax.core.sums import Sum
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.spec import ID
from tagrec_jax.layers.noise import Noise
from tagrec_jax.layers.param import logical_axes
from tagrec_jax.models.decoder.memory import TransitionMemory, interpolate
from tagrec_jax.models.decoder.ranking import Query
from tagrec_jax.models.recommender import Recommender

Batch = Mapping[str, Array]
Params = dict[str, Any]


class NextItem:
  """The encoder-decoder and its losses as pure functions of parameters.

  Args:
    history: makes the history encoder, see `Recommender`.
    objectives: target ('items', 'tags') → its loss, see `Softmax`.

  Attributes:
    axes: the logical axes of each parameter, parallel to what `init` makes.
  """

  def __init__(
    self,
    settings: Settings,
    dataset: Dataset,
    *,
    history: Callable[..., nnx.Module],
    objectives: Mapping[str, Callable[..., Sum]],
  ):
    self._objectives = objectives
    self._make = lambda key: Recommender(
      settings.model,
      dataset.spec,
      history=history,
      max_positions=settings.pipeline.max_history,
      targets=tuple(objectives),
      rngs=nnx.Rngs(params=key),
    )
    abstract = nnx.eval_shape(lambda: self._make(jax.random.key(0)))
    self._graph, state = nnx.split(abstract, nnx.Param)
    self.axes = logical_axes(state)
    self._product = {
      name: jnp.asarray(dataset.product[name])
      for name in settings.model.product
      if name != ID
    }
    self._tags_CM = (
      jnp.asarray(dataset.product["tags"]) if "tags" in objectives else None
    )
    self._memory_weight = settings.model.memory_weight
    self._memory = TransitionMemory.of(dataset) if self._memory_weight else None

  def init(self, key: Array) -> Params:
    """New parameters: a pure dict of float32 arrays."""
    return nnx.to_pure_dict(nnx.state(self._make(key), nnx.Param))

  def losses(
    self, params: Params, batch: Batch, key: Array, shard: Array | int = 0
  ) -> dict[str, Sum]:
    """target → the loss over all its questions.

    Args:
      key: of all noise of this step.
      shard: number of this part of the batch, see `Noise`.
    """
    queries = self._ask(params, batch, Noise(key, shard))
    right = self._right_answers(batch["target_ids"])
    return {
      target: self._objectives[target](
        query.query_BTD,
        query.vectors_CD,
        query.bias_C,
        right[target],
        jax.random.fold_in(key, number),
      )
      for number, (target, query) in enumerate(queries.items())
    }

  def scores(
    self, params: Params, batch: Batch
  ) -> dict[str, Float[Array, "B C"]]:
    """target → scores of its catalogue, at the last position of each row."""
    answers = {
      target: _scores(query, batch["last"])
      for target, query in self._ask(params, batch, None).items()
    }
    if self._memory is not None and "items" in answers:
      remembered_BC = self._memory(batch["history_ids"])
      answers["items"] = interpolate(
        answers["items"], remembered_BC, self._memory_weight
      )
    return answers

  def _ask(
    self, params: Params, batch: Batch, noise: Noise | None
  ) -> dict[str, Query]:
    model = nnx.merge(self._graph, nnx.State(params))
    return model(batch, self._product, noise)

  def _right_answers(self, next_BT: Array) -> dict[str, Array]:
    """Items [B, T] and, of each, the tags [B, T, M]."""
    right = {"items": next_BT}
    if self._tags_CM is not None:
      rows_BTM = self._tags_CM[jnp.maximum(next_BT, 0)]
      right["tags"] = jnp.where((next_BT >= 0)[..., None], rows_BTM, UNKNOWN)
    return right


def _scores(query: Query, last_B: Array) -> Float[Array, "B C"]:
  query_BD = query.query_BTD[jnp.arange(last_B.shape[0]), last_B]
  scores_BC = jnp.einsum(
    "BD,CD->BC",
    query_BD,
    query.vectors_CD,
    preferred_element_type=jnp.float32,
  )
  return scores_BC + query.bias_C[None]
