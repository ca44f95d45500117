"""Which product does this person take next, and which tags will it have?"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh, NamedSharding
from jaxtyping import Array, Float, Int

from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.settings import Settings
from tagrec_jax.core.sums import Sum
from tagrec_jax.data.dataset import Dataset
from tagrec_jax.data.spec import ID
from tagrec_jax.decoding.tiles import Scored, rows_at
from tagrec_jax.layers.noise import Noise
from tagrec_jax.models.decoder.memory import (
  TransitionMemory,
  counting,
  interpolate,
)
from tagrec_jax.models.decoder.ranking import Query
from tagrec_jax.models.encoder import cloze
from tagrec_jax.models.encoder.product import MakeEncoder
from tagrec_jax.models.encoder.views import view
from tagrec_jax.models.recommender import Recommender
from tagrec_jax.objectives.contrast import Contrast
from tagrec_jax.objectives.negatives import Negatives
from tagrec_jax.tasks.pure import Params, Pure
from tagrec_jax.tasks.task import Objective

Batch = Mapping[str, Array]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Ready:
  """What is the same for all questions.

  Attributes:
    params: of the model.
    vectors_CD: of products, which read histories.
    own: target → vectors of its catalogue, where they are not those.
    bias: target → of its entries.
    sizes: (target, entries of its catalogue); further rows only fill up.
  """

  params: Any
  vectors_CD: Any
  own: Any
  bias: Any
  sizes: tuple[tuple[str, int], ...] = dataclasses.field(
    metadata={"static": True}
  )

  def vectors_of(self, target: str) -> Any:
    return self.own.get(target, self.vectors_CD)


class NextItem(Pure[Recommender]):
  """The encoder-decoder and its losses as pure functions of parameters.

  Args:
    encoders, history: make the encoders, see `Recommender`.
    objectives: target ('items', 'tags') → its loss, see `Softmax`.
    contrast: compares two views of each history; None for none.
  """

  def __init__(
    self,
    settings: Settings,
    dataset: Dataset,
    *,
    encoders: Mapping[str, MakeEncoder],
    history: Callable[..., nnx.Module],
    objectives: Mapping[str, Objective],
    contrast: Contrast | None = None,
  ):
    self._objectives = objectives
    self._contrast = contrast
    self._masked = settings.objective.question == "masked"
    self._masked_rate = settings.objective.masked_rate
    self._views = settings.objective.contrast_views
    self._view_rate = settings.objective.contrast_rate
    self._num_items = dataset.spec.num_items
    super().__init__(
      lambda rngs: Recommender(
        settings.model,
        dataset.spec,
        encoders=encoders,
        history=history,
        max_positions=settings.pipeline.max_history,
        targets=tuple(objectives),
        rngs=rngs,
      )
    )
    self._product = {
      name: jnp.asarray(dataset.product[name])
      for name in settings.model.product
      if name != ID
    }
    self._tags_CM = (
      jnp.asarray(dataset.product["tags"]) if "tags" in objectives else None
    )
    self._num_tags = dataset.spec.num_tags
    self._tag = {n: jnp.asarray(array) for n, array in dataset.tag.items()}
    self._memory_weight = settings.model.memory_weight
    self._memory = (
      TransitionMemory.of(dataset, counting(settings.model))
      if self._memory_weight
      else None
    )

  @property
  def reads_all(self) -> bool:
    """Whether a loss compares with every product."""
    items = self._objectives.get("items")
    return items is not None and not items.negatives

  def rows(
    self, batch: Batch, key: Array, axis_name: str | None = None
  ) -> Int[Array, " R"]:
    """The products that a training step reads: of its batch, and negatives.

    Args:
      key: of all noise of this step.
      axis_name: of the devices where each has rows of its own: all answer the
        products of all.

    Returns:
      Catalogue indices, ascending and distinct, then C for places left over.
    """
    ids = jnp.concatenate(
      [batch[name].reshape(-1) for name in ("history_ids", "target_ids")]
    )
    if axis_name:
      ids = jax.lax.all_gather(ids, axis_name, tiled=True)
    drawn = self._draw(key)
    if drawn is not None:
      ids = jnp.concatenate([ids, drawn.entries_K])
    # UNKNOWN and BEGIN become one more id, which may cost a real one its place.
    ids = jnp.where(ids < 0, self._num_items, ids)
    size = min(ids.size, self._num_items) + 1
    size += -size % 128  # so that every usual mesh divides them
    return jnp.unique(ids, size=size, fill_value=self._num_items)

  def losses(
    self,
    params: Params,
    batch: Batch,
    key: Array,
    shard: Array | int = 0,
    rows: Int[Array, " R"] | None = None,
  ) -> dict[str, Sum]:
    """target → the loss over all its questions; 'contrast' that of views.

    Args:
      params: whole, or of tables of products only the given rows.
      key: of all noise of this step.
      shard: number of this part of the batch, see `Noise`.
      rows: as `rows` gave them for this batch and key.
    """
    # What came after training is no answer and no negative.
    product = {n: v[: self._num_items] for n, v in self._product.items()}
    drawn = self._draw(key)
    if self._masked:
      hiding = Noise(jax.random.fold_in(key, 3), shard)
      batch = cloze.hide(batch, self._masked_rate, hiding)
    right = self._right_answers(batch["target_ids"])
    if rows is not None:
      place = functools.partial(_place, rows)
      product = {name: value[rows] for name, value in product.items()}
      batch = {**batch, "history_ids": place(batch["history_ids"])}
      right["items"] = place(right["items"])
      drawn = drawn and drawn.moved(place)
    model = self._model(params)
    # Every device encodes the same products, so it needs the same noise.
    vectors = model.products.vectors(product, Noise(jax.random.fold_in(key, 1)))
    tag = {name: array[: self._num_tags] for name, array in self._tag.items()}
    noise = Noise(key, shard)
    interest_BRD = model.read(batch, vectors, noise)
    memory_BRD = model.correct(interest_BRD, batch, noise)
    queries = model.queries(memory_BRD, vectors, noise, tag)
    sums = {
      target: self._loss(target, query, right[target], drawn)
      for target, query in queries.items()
    }
    if self._contrast is not None:
      # A key of its own: all other noise is the same with and without it.
      other = Noise(jax.random.fold_in(key, 2), shard)
      changed = view(batch, self._views, self._view_rate, other)
      # Before the moment, by which both views could be told at once.
      second_BRD = model.read(changed, vectors, other)
      count = interest_BRD.shape[1] // batch["target_ids"].shape[1]
      sums["contrast"] = self._contrast(
        interest_BRD,
        second_BRD,
        jnp.repeat(changed["history_segments"], count, axis=1),
        jnp.repeat(batch["target_ids"], count, axis=1),
      )
    return sums

  @property
  def in_tiles(self) -> bool:
    """Whether `queries` do: the vote of the memory needs whole rows."""
    return self._memory is None

  def prepare(self, params: Params, parts: int = 1) -> Ready:
    """The parameters, and what of the catalogue is the same for every batch.

    Args:
      parts: devices that share each catalogue.
    """
    model = self._model(params)
    vectors_CD = model.products.vectors(self._product)
    own, bias, sizes = {}, {}, []
    for target, entries in model.entries(vectors_CD, tag=self._tag).items():
      sizes.append((target, len(entries.bias_C)))
      bias[target] = _filled(entries.bias_C, parts, -jnp.inf)
      # What is ranked with the vectors that are read is not to be kept twice.
      if entries.vectors_CD is not vectors_CD:
        own[target] = _filled(entries.vectors_CD, parts, 0.0)
    vectors_CD = _filled(vectors_CD, parts, 0.0)
    return Ready(params, vectors_CD, own, bias, tuple(sizes))

  def split(self, ready: Ready, parts: NamedSharding) -> Ready:
    """What was prepared, each catalogue cut as `parts` says."""
    vectors_CD, own, bias = jax.lax.with_sharding_constraint(
      (ready.vectors_CD, ready.own, ready.bias), parts
    )
    return dataclasses.replace(ready, vectors_CD=vectors_CD, own=own, bias=bias)

  def queries(
    self, ready: Ready, batch: Batch, mesh: Mesh | None = None
  ) -> dict[str, Array]:
    """target → what each question asks its catalogue, [B, I, D].

    Args:
      mesh: whose devices each hold a part of the vectors; None for one device.
    """
    asked = cloze.hide_next(batch) if self._masked else batch
    vectors_CD = ready.vectors_CD
    if mesh is not None:
      ids_BS = asked["history_ids"]
      vectors_CD = rows_at(vectors_CD, ids_BS.reshape(-1), mesh)
      places_BS = jnp.arange(ids_BS.size, dtype=ids_BS.dtype)
      places_BS = places_BS.reshape(ids_BS.shape)
      places_BS = jnp.where(ids_BS < 0, ids_BS, places_BS)
      asked = {**asked, "history_ids": places_BS}
    model, last_B1 = self._model(ready.params), batch["last"][:, None]
    return model.ask(model.encode(asked, vectors_CD, None, last_B1))

  def scored(
    self, ready: Ready, queries: Mapping[str, Array], mesh: Mesh | None = None
  ) -> dict[str, Scored]:
    """What `queries` made, with the catalogues they ask."""
    return {
      target: Scored(
        query_BID,
        ready.vectors_of(target),
        ready.bias[target],
        dict(ready.sizes)[target],
        mesh,
      )
      for target, query_BID in queries.items()
    }

  def scores(
    self, ready: Ready, batch: Batch
  ) -> dict[str, Float[Array, "B C"]]:
    """target → scores of its catalogue, at the last position of each row.

    New products are scored too if the model reads what they are made of.

    Args:
      ready: of `prepare`.
    """
    asked = self.scored(ready, self.queries(ready, batch))
    answers = {target: rows.whole() for target, rows in asked.items()}
    if self._memory is not None and "items" in answers:
      ids_BS = batch["history_ids"]
      remembered_BC = self._memory(
        jnp.where(ids_BS < self._num_items, ids_BS, UNKNOWN)
      )
      new = answers["items"].shape[1] - self._num_items
      remembered_BC = jnp.pad(remembered_BC, ((0, 0), (0, new)))
      answers["items"] = interpolate(
        answers["items"], remembered_BC, self._memory_weight
      )
    return answers

  def _loss(
    self, target: str, query: Query, right: Array, drawn: Negatives | None
  ) -> Sum:
    query = query.best_for(right if right.ndim == 3 else right[..., None])
    return self._objectives[target](
      query.query_BTD, query.vectors_CD, query.bias_C, right, drawn
    )

  def _draw(self, key: Array) -> Negatives | None:
    """The products a step draws, the same wherever they are asked for."""
    items = self._objectives.get("items")
    if items is None or not items.negatives:
      return None
    # A key of its own, or they would go with the noise of dropout.
    key = jax.random.fold_in(key, 0)
    return Negatives.draw(key, self._num_items, items.negatives)

  def _right_answers(self, next_BT: Array) -> dict[str, Array]:
    """Items [B, T] and, of each, the tags [B, T, M]."""
    right = {"items": next_BT}
    if self._tags_CM is not None:
      rows_BTM = self._tags_CM[jnp.maximum(next_BT, 0)]
      right["tags"] = jnp.where((next_BT >= 0)[..., None], rows_BTM, UNKNOWN)
    return right


def _filled(x_CX: Array, parts: int, value: float) -> Array:
  """Rows added until they divide evenly."""
  missing = [(0, -len(x_CX) % parts)] + [(0, 0)] * (x_CX.ndim - 1)
  return jnp.pad(x_CX, missing, constant_values=value)


def _place(
  rows_R: Int[Array, " R"], ids: Int[Array, "..."]
) -> Int[Array, "..."]:
  """Where in `rows_R` an id is; what is no id stays as it is."""
  places = jnp.searchsorted(rows_R, ids).astype(ids.dtype)
  return jnp.where(ids < 0, ids, places)
