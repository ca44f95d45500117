"""Which tags does this product have, known by its content alone?"""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from tagrec_jax.core.settings import Settings
from tagrec_jax.core.sums import Sum
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.spec import Part, batch_key
from tagrec_jax.data.tag_counts import TagCounts
from tagrec_jax.layers.noise import Noise
from tagrec_jax.models.decoder.ranking import Entries, Query, scores
from tagrec_jax.models.encoder.product import MakeEncoder
from tagrec_jax.models.members import Members, together
from tagrec_jax.models.tagger import Tagger
from tagrec_jax.tasks.pure import Params, Pure
from tagrec_jax.tasks.task import Objective

Batch = Mapping[str, Array]
Ready = tuple[Params, list[Entries]]


class TagItem(Pure[Members]):
  """The encoder-decoder and its loss as pure functions of parameters.

  Args:
    encoders: make the encoders of features, see `Tagger`.
    objective: over the tags of training, see `MultilabelSoftmax`.

  Attributes:
    reads_all, rows: no table has rows for products, so none are chosen.
  """

  reads_all = True
  rows = None

  def __init__(
    self,
    settings: Settings,
    dataset: Dataset,
    *,
    encoders: Mapping[str, MakeEncoder],
    objective: Objective,
  ):
    self._objective = objective
    prior = TagCounts.of(dataset).log_odds()
    super().__init__(
      lambda rngs: Members(
        lambda own: Tagger(
          settings.model, dataset.spec, encoders=encoders, prior=prior, rngs=own
        ),
        settings.model.members,
        rngs,
      )
    )
    self._names = settings.model.product
    self._num_tags = dataset.spec.num_tags
    self._tag = {n: jnp.asarray(array) for n, array in dataset.tag.items()}

  def losses(
    self,
    params: Params,
    batch: Batch,
    key: Array,
    shard: Array | int = 0,
    rows: Array | None = None,
  ) -> dict[str, Sum]:
    """The loss over the products of a batch that have tags.

    Args:
      key: of all noise of this step.
      shard: number of this part of the batch, see `Noise`.
      rows: not used, no table has any.
    """
    del rows
    # Tags that came after training are no answers.
    tag = {name: array[: self._num_tags] for name, array in self._tag.items()}

    def loss(member: Tagger, key: Array) -> Sum:
      # Every device makes the same tags, so it needs the same noise.
      entries = member.tags.entries(tag, Noise(jax.random.fold_in(key, 1)))
      query = self._ask(member, entries, batch, Noise(key, shard))
      return self._objective(
        query.query_BTD,
        query.vectors_CD,
        query.bias_C,
        batch["target_tags"][:, None],
        None,
      )

    return {"tags": self._model(params).loss(key, loss)}

  def prepare(self, params: Params) -> Ready:
    """The parameters, and the tags, also those that came after training."""
    members = self._model(params).members
    return params, [member.tags.entries(self._tag) for member in members]

  def scores(
    self, ready: Ready, batch: Batch
  ) -> dict[str, Float[Array, "B C"]]:
    """The scores of all tags for each product.

    Args:
      ready: of `prepare`.
    """
    params, every = ready
    answers = [
      scores(self._ask(member, entries, batch, None))
      for member, entries in zip(
        self._model(params).members, every, strict=True
      )
    ]
    return {"tags": together(answers)}

  def _ask(
    self, model: Tagger, entries: Entries, batch: Batch, noise: Noise | None
  ) -> Query:
    product = {
      name: batch[batch_key(Part.PRODUCT, name)] for name in self._names
    }
    return model(product, entries, noise)
