"""Which tags does this person give this product, now?"""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
from tagrec_jax.models.decoder.ranking import scores
from tagrec_jax.models.encoder.product import MakeEncoder
from tagrec_jax.models.members import Members, together
from tagrec_jax.models.poster import Poster, Tags
from tagrec_jax.objectives.copying import CopySoftmax, mixed_scores
from tagrec_jax.tasks.pure import Params, Pure

Batch = Mapping[str, Array]
Ready = tuple[Params, list[tuple[Array, Tags]]]


class TagPost(Pure[Members]):
  """The encoder-decoder and its loss as pure functions of parameters.

  Args:
    encoders: make the encoders of features, see `Poster`.
    history: makes the history encoder.

  Attributes:
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
    super().__init__(
      lambda rngs: Members(
        lambda own: Poster(
          settings.model,
          dataset.spec,
          len(dataset.train_ends),
          encoders=encoders,
          history=history,
          max_positions=settings.pipeline.max_history,
          prior=prior,
          rngs=own,
        ),
        settings.model.members,
        rngs,
      )
    )
    self._num_items = dataset.spec.num_items
    self._num_tags = dataset.spec.num_tags
    self._product = {
      name: jnp.asarray(dataset.product[name])
      for name in settings.model.product
      if name != ID
    }
    self._tag = {n: jnp.asarray(array) for n, array in dataset.tag.items()}

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

    def loss(member: Poster, key: Array) -> Sum:
      # Every device makes the same vectors, so it needs the same noise.
      vectors_CD = member.products.vectors(
        product, Noise(jax.random.fold_in(key, 1))
      )
      tags = member.entries(tag, Noise(jax.random.fold_in(key, 2)))
      asked = member(batch, vectors_CD, tags, Noise(key, shard))
      query, copies = asked.query, asked.copies
      return self._objective(
        query.query_BTD,
        query.vectors_CD,
        query.bias_C,
        copies.log_generated_BT,
        copies.log_of(batch["target_tags"]),
        batch["target_tags"],
      )

    return {"tags": self._model(params).loss(key, loss)}

  def prepare(self, params: Params) -> Ready:
    """The parameters, and the vectors of all products and tags."""
    return params, [
      (member.products.vectors(self._product), member.entries(self._tag))
      for member in self._model(params).members
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
      self._model(params).members, every, strict=True
    ):
      asked = member(batch, vectors_CD, tags, None, batch["last"][:, None])
      answers.append(mixed_scores(scores(asked.query), *asked.copies.first()))
    return {"tags": together(answers)}
