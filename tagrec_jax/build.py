"""From a config to data, model and devices: where names become objects.

A module behind a name is loaded when the name is used, so a config is checked
in full before JAX starts.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tagrec_jax.core import settings as settings_lib
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.registry import Registry, nearest
from tagrec_jax.core.settings import Settings
from tagrec_jax.data.spec import CODES, ID, TAGS, Kind, Part, Spec
from tagrec_jax.evaluation.protocols import PROTOCOLS

if TYPE_CHECKING:
  from tagrec_jax.data.dataset import Dataset
  from tagrec_jax.data.pipeline import TrainBatches
  from tagrec_jax.data.products import ProductBatches
  from tagrec_jax.data.records import Item, Tag
  from tagrec_jax.objectives.contrast import Contrast
  from tagrec_jax.tasks.task import Task
  from tagrec_jax.training.parallel import Backend
  from tagrec_jax.training.recipe import Recipe

SOURCES = Registry(
  "config.data.source",
  {
    "movielens_100k": "tagrec_jax.data.sources.movielens_100k:MovieLens100K",
    "movielens": "tagrec_jax.data.sources.movielens:MovieLensFolder",
    "movielens_posts": "tagrec_jax.data.sources.movielens:MovieLensPosts",
    "movielens_tfds": "tagrec_jax.data.sources.movielens_tfds:MovieLensTFDS",
    "hetrec_movielens": (
      "tagrec_jax.data.sources.hetrec_movielens:HetRecMovieLens"
    ),
    "s3rec": "tagrec_jax.data.sources.amazon_s3rec:S3Rec",
    "debian_debtags": "tagrec_jax.data.sources.debian_debtags:DebianDebtags",
    "steam": "tagrec_jax.data.sources.steam:Steam",
    "openclipart": "tagrec_jax.data.sources.openclipart:OpenClipart",
    "folder": "tagrec_jax.data.sources.folder:Folder",
    "storefront": "tagrec_jax.data.sources.storefront:Storefront",
  },
)
HISTORY_ENCODERS = Registry(
  "config.model.history",
  {
    "transformer": "tagrec_jax.models.encoder.transformer:TransformerHistory",
    "gru": "tagrec_jax.models.encoder.gru:GRUHistory",
    "linear": "tagrec_jax.models.encoder.recurrence:LinearHistory",
    "long_short": "tagrec_jax.models.encoder.long_short:LongShortHistory",
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
TEXT_ENCODERS = Registry(
  "config.model.text",
  {
    "bag": "tagrec_jax.models.encoder.plain:SetVector",
    "transformer": "tagrec_jax.models.encoder.text:TransformerText",
    "bert": "tagrec_jax.models.encoder.bert:BertText",
  },
)
IMAGE_ENCODERS = Registry(
  "config.model.image",
  {
    "cnn": "tagrec_jax.models.encoder.image:ResNetImage",
    "vit": "tagrec_jax.models.encoder.image:ViTImage",
  },
)
AUDIO_ENCODERS = Registry(
  "config.model.audio",
  {
    "cnn": "tagrec_jax.models.encoder.audio:CNNAudio",
    "transformer": "tagrec_jax.models.encoder.audio:TransformerAudio",
  },
)
TAG_OBJECTIVES = Registry(
  "config.objective.tags",
  {
    "multilabel_softmax": "tagrec_jax.objectives.multilabel:MultilabelSoftmax",
    "multilabel_sigmoid": "tagrec_jax.objectives.multilabel:MultilabelSigmoid",
    "asymmetric": "tagrec_jax.objectives.multilabel:Asymmetric",
    "decoupled_softmax": "tagrec_jax.objectives.multilabel:DecoupledSoftmax",
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
PRODUCT_BASELINES = Registry(
  "product baselines",
  {
    "tag_popularity": "tagrec_jax.models.baselines.tags:ProductTagPopularity",
    "text_knn": "tagrec_jax.models.baselines.content:TextKNN",
    "tag_text_similarity": (
      "tagrec_jax.models.baselines.content:TagTextSimilarity"
    ),
  },
)

POST_BASELINES = Registry(
  "post baselines",
  {
    "mp": "tagrec_jax.models.baselines.posts_popular:MostPopular",
    "mp_u": "tagrec_jax.models.baselines.posts_popular:MostPopularOfPerson",
    "mp_r": "tagrec_jax.models.baselines.posts_popular:MostPopularOfProduct",
    "mp_ur": "tagrec_jax.models.baselines.posts_popular:MostPopularMixture",
    "bll_c": "tagrec_jax.models.baselines.base_level:BaseLevel",
    "adapted_pagerank": (
      "tagrec_jax.models.baselines.folkrank:AdaptedPageRank"
    ),
    "folkrank": "tagrec_jax.models.baselines.folkrank:FolkRank",
    "pitf": "tagrec_jax.models.baselines.pitf:PITF",
    "pitf_bll_c": "tagrec_jax.models.baselines.pitf:WithBaseLevel",
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
  TEXT_ENCODERS.check(checked.model.text)
  IMAGE_ENCODERS.check(checked.model.image)
  AUDIO_ENCODERS.check(checked.model.audio)
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


def dataset(
  checked: Settings, items: Sequence[Item] = (), tags: Sequence[Tag] = ()
) -> Dataset:
  """The prepared data set of a config, made now if it does not exist yet.

  Args:
    items, tags: clean records of what came after training and has rows in the
      tables nevertheless, see `data.extend`.
  """
  from tagrec_jax.data.extend import extend
  from tagrec_jax.data.prepare import open_or_prepare

  source = SOURCES[checked.data.source].from_settings(checked.data)
  prepared = open_or_prepare(source, checked.data)
  if items or tags:
    prepared = extend(prepared, items, tags)
  if checked.data.pretrained_text:
    from tagrec_jax.serving.pretrained import with_vectors

    prepared = with_vectors(prepared, checked.data)
  check_features(checked, prepared.spec)
  if _writes_items(checked) and (items or tags):
    raise UserError(
      "config.model.decoder",
      "found 'sequence' and products added after training",
      "'ranking', as codes are those of training",
      "train anew with the new products",
    )
  return with_codes(checked, prepared)


def with_codes(checked: Settings, prepared: Dataset) -> Dataset:
  """The data set with the codes that a config's model writes, or with none."""
  product = {n: v for n, v in prepared.product.items() if n != CODES}
  prepared = dataclasses.replace(prepared, product=product)
  if not _writes_items(checked):
    return prepared
  from tagrec_jax.models import codes

  return codes.with_codes(prepared, checked.model, checked.seed)


def _writes_items(checked: Settings) -> bool:
  return checked.model.decoder == "sequence" and checked.task == "next_item"


def check_features(checked: Settings, spec: Spec) -> None:
  """Raises UserError if the model reads what the data set does not have."""
  wanted = {
    Part.PRODUCT: [n for n in checked.model.product if n != ID],
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
  # What people give is asked of posts; elsewhere the tags products have.
  posts = checked.task == "tag_post" and spec.num_tags > 0
  tagged = posts or any(f.name == TAGS for f in spec.of(Part.PRODUCT))
  if "tags" in targets(checked) and not tagged:
    raise UserError(
      "config.objective.tags_weight",
      f"found {checked.objective.tags_weight}, but no product has a tag",
      "0, or a data set with tags",
      "set config.objective.tags_weight=0.0",
    )


def feature_encoders(
  checked: Settings, prepared: Dataset
) -> dict[str, Callable[..., Any]]:
  """Feature of products → (feature, settings, rngs) → its encoder."""
  from tagrec_jax.models.encoder import plain
  from tagrec_jax.models.encoder.ngrams import NgramBag
  from tagrec_jax.models.encoder.vector import VectorMap

  weights = {
    e.feature.name: e.weights
    for e in prepared.encodings
    if e.feature.part is Part.PRODUCT and e.weights is not None
  }
  known = {
    Kind.CATEGORY: lambda: plain.CategoryVector,
    Kind.ID_SET: lambda: plain.SetVector,
    Kind.NUMBER: lambda: plain.NumbersVector,
    Kind.VECTOR: lambda: VectorMap,
    Kind.NGRAMS: lambda: NgramBag,
    Kind.TEXT: lambda: TEXT_ENCODERS[checked.model.text],
    Kind.IMAGE: lambda: IMAGE_ENCODERS[checked.model.image],
    Kind.AUDIO: lambda: AUDIO_ENCODERS[checked.model.audio],
  }
  made = {
    feature.name: known[feature.kind]()
    for feature in prepared.spec.of(Part.PRODUCT)
    if feature.name in checked.model.product
  }
  # An n-gram's weight starts at what training says it tells.
  return {
    name: functools.partial(encoder, weights=weights[name])
    if name in weights
    else encoder
    for name, encoder in made.items()
  }


def model(checked: Settings, prepared: Dataset) -> Task:
  """The model of a config for a data set."""
  objectives = _objectives(checked, prepared)
  encoders = feature_encoders(checked, prepared)
  written = checked.model.decoder == "sequence"
  if _writes_items(checked):
    from tagrec_jax.tasks.write_item import WriteItem

    return WriteItem(
      checked,
      prepared,
      encoders=encoders,
      history=HISTORY_ENCODERS[checked.model.history],
    )
  if checked.task == "tag_item" and written:
    from tagrec_jax.tasks.write_tags import WriteTags

    return WriteTags(checked, prepared, encoders=encoders)
  if checked.task == "tag_item":
    from tagrec_jax.tasks.tag_item import TagItem

    return TagItem(
      checked, prepared, encoders=encoders, objective=objectives["tags"]
    )
  from tagrec_jax.tasks.next_item import NextItem

  return NextItem(
    checked,
    prepared,
    encoders=encoders,
    history=_history(checked),
    objectives=objectives,
    contrast=_contrast(checked),
  )


def _history(checked: Settings) -> Callable[..., Any]:
  """Makes the history encoder; what is masked is read from both sides."""
  encoder = HISTORY_ENCODERS[checked.model.history]
  if checked.objective.question == "masked":
    return functools.partial(encoder, both_sides=True)
  return encoder


def _contrast(checked: Settings) -> Contrast | None:
  """The loss of two views of a history, if it is wanted."""
  if not checked.objective.contrast_weight:
    return None
  from tagrec_jax.objectives.contrast import Contrast

  return Contrast.from_settings(checked.objective)


def _objectives(checked: Settings, prepared: Dataset) -> dict[str, Any]:
  """target → its loss."""
  from tagrec_jax.data.tag_counts import TagCounts

  objective, wanted = checked.objective, targets(checked)
  made: dict[str, Any] = {}
  if "items" in wanted:
    made["items"] = ITEM_OBJECTIVES[objective.items].from_settings(objective)
  if "tags" in wanted:
    counts = TagCounts.of(prepared)
    made["tags"] = TAG_OBJECTIVES[objective.tags].from_settings(
      objective, counts
    )
  return made


def recipe(checked: Settings, made: Task) -> Recipe:
  """What a training step has to know.

  Raises:
    UserError: if tables cannot be lazy with this loss or optimizer.
  """
  if checked.optimizer.tables == "lazy":
    _check_lazy(checked, made)
  from tagrec_jax.training.optimizer import make_optimizer
  from tagrec_jax.training.recipe import Recipe

  return Recipe(
    init=made.init,
    axes=made.axes,
    losses=made.losses,
    weights=_weights(checked),
    optimizer=make_optimizer(
      OPTIMIZERS[checked.optimizer.name],
      checked.optimizer,
      checked.train.steps,
      made.axes,
    ),
    ema_decay=checked.optimizer.ema_decay,
    max_loss_rise=checked.optimizer.max_loss_rise,
    seed=checked.seed,
    rows=None if made.reads_all else made.rows,
    lazy=checked.optimizer.tables == "lazy",
  )


def _weights(checked: Settings) -> dict[str, float]:
  """Of all losses, those that nothing is asked for among them."""
  objective = checked.objective
  weights = {t: getattr(objective, f"{t}_weight") for t in targets(checked)}
  if objective.contrast_weight:
    weights["contrast"] = objective.contrast_weight
  return weights


def _check_lazy(checked: Settings, made: Task) -> None:
  optimizer, objective = checked.optimizer, checked.objective
  lazy = "config.optimizer.tables"
  fix = "set config.optimizer.tables='dense'"
  if made.reads_all:
    raise UserError(
      lazy,
      f"found 'lazy' with the loss '{objective.items}', which reads all"
      " products at every step",
      "a loss that draws negatives",
      "set config.objective.items='sampled_softmax'",
    )
  if optimizer.name == "adafactor":
    found, wanted = "with 'adafactor'", "an optimizer with moments a row"
    raise UserError(lazy, f"found 'lazy' {found}", wanted, fix)
  if optimizer.ema_decay:
    found = f"with config.optimizer.ema_decay={optimizer.ema_decay}"
    raise UserError(lazy, f"found 'lazy' {found}", "no averages", fix)


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
) -> TrainBatches | ProductBatches:
  """step → this host's share (index, count) of the batch."""
  from tagrec_jax.data.pipeline import TrainBatches
  from tagrec_jax.data.products import ProductBatches

  if checked.task == "tag_item":
    return ProductBatches(
      prepared,
      checked.pipeline,
      features=checked.model.product,
      seed=checked.seed,
      host=share[0],
      hosts=share[1],
    )
  return TrainBatches(
    prepared,
    checked.pipeline,
    moment=checked.model.moment,
    person=checked.model.person,
    seed=checked.seed,
    host=share[0],
    hosts=share[1],
  )
