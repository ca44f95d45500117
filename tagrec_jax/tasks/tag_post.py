"""Which tags does this person give this product, now?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from tagrec_jax.core.settings import Settings
from tagrec_jax.core.sums import Sum
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.spec import ID
from tagrec_jax.data.tag_counts import TagCounts
from tagrec_jax.layers.noise import Noise
from tagrec_jax.layers.param import logical_axes
from tagrec_jax.models.decoder.ranking import scores
from tagrec_jax.models.encoder.product import MakeEncoder
from tagrec_jax.models.members import Members, together
from tagrec_jax.models.poster import Poster, Tags
from tagrec_jax.objectives.copying import CopySoftmax, mixed_scores

Batch = Mapping[str, Array]
Params = dict[str, Any]
Ready = tuple[Params, list[tuple[Array, Tags]]]


class TagPost:
  """The encoder-decoder and its loss as pure functions of parameters.

  Args:
    encoders: make the encoders of features, see `Poster`.
    history: makes the history encoder.

  Attributes:
    axes: the logical axes of each parameter, parallel to what `init` makes.
    reads_all, rows: every product has a vector, whatever a batch holds.
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
    self._objective = CopySoftmax.from_settings(settings.objective)
    prior = TagCounts.of_posts(dataset).log_odds()
    self._make = lambda key: Members(
      lambda rngs: Poster(
        settings.model,
        dataset.spec,
        len(dataset.train_ends),
        encoders=encoders,
        history=history,
        max_positions=settings.pipeline.max_history,
        prior=prior,
        rngs=rngs,
      ),
      settings.model.members,
      nnx.Rngs(params=key),
    )
    abstract = nnx.eval_shape(lambda: self._make(jax.random.key(0)))
    self._graph, state = nnx.split(abstract, nnx.Param)
    self.axes = logical_axes(state)
    self._num_items = dataset.spec.num_items
    self._num_tags = dataset.spec.num_tags
    self._product = {
      name: jnp.asarray(dataset.product[name])
      for name in settings.model.product
      if name != ID
    }
    self._tag = {n: jnp.asarray(array) for n, array in dataset.tag.items()}

  def init(self, key: Array) -> Params:
    """New parameters: a pure dict of float32 arrays."""
    return nnx.to_pure_dict(nnx.state(self._make(key), nnx.Param))

  def losses(
    self,
    params: Params,
    batch: Batch,
    key: Array,
    shard: Array | int = 0,
    rows: Array | None = None,
  ) -> dict[str, Sum]:
    """The loss over the assignments of a batch.

    Args:
      key: of all noise of this step.
      shard: number of this part of the batch, see `Noise`.
      rows: not used, no step reads a part of the products.
    """
    del rows
    # What came after training is not asked for.
    product = {n: v[: self._num_items] for n, v in self._product.items()}
    tag = {n: v[: self._num_tags] for n, v in self._tag.items()}
    members = self._members(params)
    total, weight = jnp.zeros(()), jnp.zeros(())
    for number, member in enumerate(members):
      member_key = jax.random.fold_in(key, number)
      # Every device makes the same vectors, so it needs the same noise.
      vectors_CD = member.products.vectors(
        product, Noise(jax.random.fold_in(member_key, 1))
      )
      tags = member.entries(tag, Noise(jax.random.fold_in(member_key, 2)))
      asked = member(batch, vectors_CD, tags, Noise(member_key, shard))
      query, copies = asked.query, asked.copies
      loss = self._objective(
        query.query_BTD,
        query.vectors_CD,
        query.bias_C,
        copies.log_generated_BT,
        copies.log_of(batch["target_tags"]),
        batch["target_tags"],
      )
      total, weight = total + loss.total / len(members), loss.weight
    return {"tags": Sum(total, weight)}

  def prepare(self, params: Params) -> Ready:
    """The parameters, and the vectors of all products and tags."""
    return params, [
      (member.products.vectors(self._product), member.entries(self._tag))
      for member in self._members(params)
    ]

  def scores(
    self, ready: Ready, batch: Batch
  ) -> dict[str, Float[Array, "B C"]]:
    """The log probability of each tag for the post asked about.

    Args:
      ready: of `prepare`.
    """
    params, every = ready
    answers = []
    for member, (vectors_CD, tags) in zip(
      self._members(params), every, strict=True
    ):
      asked = member(batch, vectors_CD, tags, None, batch["last"][:, None])
      answers.append(mixed_scores(scores(asked.query), *asked.copies.first()))
    return {"tags": together(answers)}

  def _members(self, params: Params) -> Sequence[Poster]:
    return nnx.merge(self._graph, nnx.State(params)).members
