"""From a config to data, model, losses and scores: where names become objects.

Nothing above `Registry` tables is loaded before a name is used, so a config is
checked in full before JAX starts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tagrec_jax.core import settings as settings_lib
from tagrec_jax.core.axes import UNKNOWN
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.registry import Registry, nearest
from tagrec_jax.core.settings import Settings
from tagrec_jax.data.spec import Part, Spec
from tagrec_jax.evaluation.protocols import PROTOCOLS

if TYPE_CHECKING:
  from jaxtyping import Array

  from tagrec_jax.core.sums import Sum
  from tagrec_jax.data.dataset import Dataset
  from tagrec_jax.data.pipeline import TrainBatches
  from tagrec_jax.layers.noise import Noise
  from tagrec_jax.models.decoder.ranking import Query
  from tagrec_jax.training.parallel import Backend
  from tagrec_jax.training.recipe import Recipe

SOURCES = Registry(
  "config.data.source",
  {
    "movielens_100k": "tagrec_jax.data.sources.movielens_100k:MovieLens100K",
    "movielens": "tagrec_jax.data.sources.movielens:MovieLensFolder",
    "movielens_tfds": "tagrec_jax.data.sources.movielens_tfds:MovieLensTFDS",
    "s3rec": "tagrec_jax.data.sources.amazon_s3rec:S3Rec",
    "folder": "tagrec_jax.data.sources.folder:Folder",
    "storefront": "tagrec_jax.data.sources.storefront:Storefront",
  },
)
HISTORY_ENCODERS = Registry(
  "config.model.history",
  {
    "transformer": "tagrec_jax.models.encoder.transformer:TransformerHistory",
    "gru": "tagrec_jax.models.encoder.gru:GRUHistory",
    "multi_hot": "tagrec_jax.models.encoder.multi_hot:MultiHotHistory",
  },
)
ITEM_OBJECTIVES = Registry(
  "config.objective.items",
  {
    "softmax": "tagrec_jax.objectives.softmax:Softmax",
    "sampled_softmax": "tagrec_jax.objectives.sampled_softmax:SampledSoftmax",
    "gbce": "tagrec_jax.objectives.gbce:GBCE",
    "bpr": "tagrec_jax.objectives.pairwise:BPR",
  },
)
TAG_OBJECTIVES = Registry(
  "config.objective.tags",
  {
    "multilabel_softmax": "tagrec_jax.objectives.multilabel:MultilabelSoftmax",
    "multilabel_sigmoid": "tagrec_jax.objectives.multilabel:MultilabelSigmoid",
  },
)

OPTIMIZERS = Registry(
  "config.optimizer.name",
  {
    name: f"tagrec_jax.training.optimizer:{name}"
    for name in ("adam", "adamw", "adagrad", "lion", "sgd", "adafactor")
  },
)
ITEM_BASELINES = Registry(
  "config.evaluation.baselines",
  {
    "popularity": "tagrec_jax.models.baselines.popularity:Popularity",
    "recent_popularity": (
      "tagrec_jax.models.baselines.popularity:RecentPopularity"
    ),
    "item_knn": "tagrec_jax.models.baselines.item_knn:ItemKNN",
    "markov": "tagrec_jax.models.baselines.markov:Markov",
  },
)
TAG_BASELINES = Registry(
  "tag baselines",
  {
    "tag_popularity": "tagrec_jax.models.baselines.tags:TagPopularity",
    "person_tag_popularity": (
      "tagrec_jax.models.baselines.tags:PersonTagPopularity"
    ),
  },
)


def settings(config: Mapping[str, Any]) -> Settings:
  """Checks a whole config: keys, types, ranges and names.

  Raises:
    UserError: naming the key at fault and the fix.
  """
  checked = settings_lib.from_dict(config)
  SOURCES.check(checked.data.source)
  HISTORY_ENCODERS.check(checked.model.history)
  ITEM_OBJECTIVES.check(checked.objective.items)
  TAG_OBJECTIVES.check(checked.objective.tags)
  OPTIMIZERS.check(checked.optimizer.name)
  PROTOCOLS.check(checked.evaluation.protocol)
  for name in checked.evaluation.baselines:
    ITEM_BASELINES.check(name)
  return checked


def targets(checked: Settings) -> tuple[str, ...]:
  """What the model of a config is asked for: 'items', 'tags' or both."""
  objective = checked.objective
  wanted = {"items": objective.items_weight, "tags": objective.tags_weight}
  return tuple(target for target, weight in wanted.items() if weight > 0)


def dataset(checked: Settings) -> Dataset:
  """The prepared data set of a config, made now if it does not exist yet."""
  from tagrec_jax.data.prepare import open_or_prepare

  source = SOURCES[checked.data.source].from_settings(checked.data)
  prepared = open_or_prepare(source, checked.data)
  check_features(checked, prepared.spec)
  return prepared


def check_features(checked: Settings, spec: Spec) -> None:
  """Raises UserError if the model reads what the data set does not have."""
  wanted = {
    Part.PRODUCT: [n for n in checked.model.product if n != "id"],
    Part.MOMENT: checked.model.moment,
    Part.PERSON: checked.model.person,
  }
  for part, names in wanted.items():
    known = [feature.name for feature in spec.of(part)]
    for name in names:
      if name not in known:
        raise UserError(
          f"config.model.{part}",
          f"found '{name}'",
          f"features of the data set: {', '.join(known) or 'none'}",
          nearest(name, known) if known else "leave it empty",
        )


@dataclasses.dataclass(frozen=True)
class Model:
  """The encoder-decoder as pure functions of its parameters.

  Attributes:
    init: key → parameters, a pure dict of float32 arrays.
    axes: the logical axes of each parameter, a parallel pure dict.
    losses: (params, batch, key, shard) → task → Sum over its targets.
    weights: task → its weight in what is minimised.
    scores: (params, batch) → target → [B, C], for batches of questions.
  """

  init: Callable[[Array], dict]
  axes: dict
  losses: Callable[..., dict[str, Sum]]
  weights: dict[str, float]
  scores: Callable[[dict, Mapping[str, Array]], dict[str, Array]]


def recipe(checked: Settings, made: Model) -> Recipe:
  """What a training step has to know."""
  from tagrec_jax.training.optimizer import make_optimizer
  from tagrec_jax.training.recipe import Recipe

  return Recipe(
    init=made.init,
    axes=made.axes,
    losses=made.losses,
    weights=made.weights,
    optimizer=make_optimizer(
      OPTIMIZERS[checked.optimizer.name],
      checked.optimizer,
      checked.train.steps,
    ),
    ema_decay=checked.optimizer.ema_decay,
    seed=checked.seed,
  )


def backend(checked: Settings, made: Recipe) -> Backend:
  """The devices of a config, ready to train."""
  import jax

  from tagrec_jax.sharding.mesh import make_mesh
  from tagrec_jax.training.parallel import JitBackend, PmapBackend

  if checked.sharding.backend == "pmap":
    return PmapBackend(made, jax.local_devices())
  mesh = make_mesh(checked.sharding, jax.devices())
  return JitBackend(made, mesh, checked.sharding.preset)


def train_batches(
  checked: Settings, prepared: Dataset, share: tuple[int, int]
) -> TrainBatches:
  """step → this host's share (index, count) of the batch."""
  from tagrec_jax.data.pipeline import TrainBatches

  return TrainBatches(
    prepared,
    checked.pipeline,
    moment=checked.model.moment,
    person=checked.model.person,
    seed=checked.seed,
    host=share[0],
    hosts=share[1],
  )


def model(checked: Settings, prepared: Dataset) -> Model:
  """The model of a config for a data set."""
  import jax
  import jax.numpy as jnp
  from flax import nnx

  from tagrec_jax.layers.noise import Noise
  from tagrec_jax.layers.param import logical_axes
  from tagrec_jax.models.decoder.memory import TransitionMemory, interpolate
  from tagrec_jax.models.recommender import Recommender

  objective = checked.objective
  weights = {t: getattr(objective, f"{t}_weight") for t in targets(checked)}
  tables = {"items": ITEM_OBJECTIVES, "tags": TAG_OBJECTIVES}
  losses_of = {
    t: tables[t][getattr(objective, t)].from_settings(objective)
    for t in weights
  }
  wanted = [n for n in checked.model.product if n != "id"]
  product = {name: jnp.asarray(prepared.product[name]) for name in wanted}
  tags_CM = jnp.asarray(prepared.product["tags"]) if "tags" in weights else None

  remembered = checked.model.memory_weight
  memory = TransitionMemory.of(prepared) if remembered else None

  def make(key: Array) -> Recommender:
    return Recommender(
      checked.model,
      prepared.spec,
      history=HISTORY_ENCODERS[checked.model.history],
      max_positions=checked.pipeline.max_history,
      targets=targets(checked),
      rngs=nnx.Rngs(params=key),
    )

  graph, abstract = nnx.split(
    nnx.eval_shape(lambda: make(jax.random.key(0))), nnx.Param
  )

  def call(
    params: dict, batch: Mapping[str, Array], noise: Noise | None
  ) -> dict[str, Query]:
    return nnx.merge(graph, nnx.State(params))(batch, product, noise)

  def losses(
    params: dict, batch: Mapping[str, Array], key: Array, shard: Array | int = 0
  ) -> dict[str, Sum]:
    queries = call(params, batch, Noise(key, shard))
    next_BT = batch["target_ids"]
    right = {"items": next_BT}
    if tags_CM is not None:
      rows_BTM = tags_CM[jnp.maximum(next_BT, 0)]
      right["tags"] = jnp.where((next_BT >= 0)[..., None], rows_BTM, UNKNOWN)
    return {
      target: losses_of[target](
        q.query_BTD,
        q.vectors_CD,
        q.bias_C,
        right[target],
        jax.random.fold_in(key, number),
      )
      for number, (target, q) in enumerate(queries.items())
    }

  def scores(params: dict, batch: Mapping[str, Array]) -> dict[str, Array]:
    answers = {}
    for target, q in call(params, batch, None).items():
      rows = jnp.arange(batch["last"].shape[0])
      query_BD = q.query_BTD[rows, batch["last"]]
      answers[target] = (
        jnp.einsum(
          "BD,CD->BC",
          query_BD,
          q.vectors_CD,
          preferred_element_type=jnp.float32,
        )
        + q.bias_C[None]
      )
    if memory is not None and "items" in answers:
      answers["items"] = interpolate(
        answers["items"], memory(batch["history_ids"]), remembered
      )
    return answers

  def init(key: Array) -> dict:
    return nnx.to_pure_dict(nnx.state(make(key), nnx.Param))

  return Model(init, logical_axes(abstract), losses, weights, scores)
