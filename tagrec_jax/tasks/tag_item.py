"""Which tags does this product have, known by its content alone?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from tagrec_jax.core.settings import ModelSettings, Settings
from tagrec_jax.core.sums import Sum
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.spec import TAGS, Part, batch_key
from tagrec_jax.data.tag_counts import TagCounts
from tagrec_jax.decoding.neighbours import Neighbours, asked_too
from tagrec_jax.layers.noise import Noise
from tagrec_jax.models.decoder.ranking import Entries, scores
from tagrec_jax.models.encoder.product import MakeEncoder
from tagrec_jax.models.members import Members, together
from tagrec_jax.models.tagger import Tagger
from tagrec_jax.tasks.pure import Params, Pure
from tagrec_jax.tasks.task import Objective

Batch = Mapping[str, Array]


class Ready(NamedTuple):
  """Parameters, the tags of each member, and products that may vote."""

  params: Params
  entries: list[Entries]
  neighbours: Neighbours | None


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
    self._settings = settings.model
    self._voters = _voters(settings.model, dataset)

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
      query = member(self._product(batch), entries, Noise(key, shard))
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
    entries = [member.tags.entries(self._tag) for member in members]
    return Ready(params, entries, self._neighbours(members[0], entries[0]))

  def scores(
    self, ready: Ready, batch: Batch
  ) -> dict[str, Float[Array, "B C"]]:
    """The scores of all tags for each product.

    Args:
      ready: of `prepare`.
    """
    members, product = self._model(ready.params).members, self._product(batch)
    read = [member.read(product) for member in members]
    answers = [
      scores(member.tags(read_BD[:, None], entries))
      for member, read_BD, entries in zip(
        members, read, ready.entries, strict=True
      )
    ]
    found_BC = together(answers)
    if ready.neighbours is not None:
      votes_BC = ready.neighbours.votes(read[0])
      weight = self._settings.neighbour_weight
      found_BC = asked_too(found_BC, votes_BC, weight)
    return {"tags": found_BC}

  def _product(self, batch: Batch) -> dict[str, Array]:
    return {name: batch[batch_key(Part.PRODUCT, name)] for name in self._names}

  def _neighbours(self, member: Tagger, entries: Entries) -> Neighbours | None:
    """The products that vote, as a member holds them now."""
    if not self._voters:
      return None
    # Constants of the program, with which the compiler would compute already.
    voters = jax.lax.optimization_barrier(self._voters)
    return Neighbours.of(
      member.read({name: voters[name] for name in self._names}),
      voters[TAGS],
      size=len(entries.bias_C),
      count=self._settings.neighbours,
      temperature=self._settings.neighbour_temperature,
    )


def _voters(settings: ModelSettings, dataset: Dataset) -> dict[str, Array]:
  """What is known of products that may vote: all but those asked about.

  Products that were added after training vote too, so that it takes one of
  them for a new tag to be found again.
  """
  if not settings.neighbours:
    return {}
  asked = np.concatenate([dataset.valid_items, dataset.test_items])
  rows = np.setdiff1d(np.arange(len(dataset.product[TAGS])), asked)
  return {
    name: jnp.asarray(dataset.product[name])[rows]
    for name in (*settings.product, TAGS)
  }
