"""From a config to data, model and devices: where names become objects."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tagrec_jax import registries
from tagrec_jax.core import settings as settings_lib
from tagrec_jax.core.errors import UserError
from tagrec_jax.core.registry import nearest
from tagrec_jax.core.settings import Settings
from tagrec_jax.data.spec import CODES, ID, TAGS, Kind, Part, Spec
from tagrec_jax.evaluation.protocols import PROTOCOLS

if TYPE_CHECKING:
  from tagrec_jax.data.dataset import Dataset
  from tagrec_jax.data.pipeline import TrainBatches
  from tagrec_jax.data.posts import PostBatches
  from tagrec_jax.data.products import ProductBatches
  from tagrec_jax.data.records import Item, Tag
  from tagrec_jax.data.tag_counts import TagCounts
  from tagrec_jax.objectives.contrast import Contrast
  from tagrec_jax.tasks.task import Task
  from tagrec_jax.training.parallel import Backend
  from tagrec_jax.training.recipe import Recipe


def settings(config: Mapping[str, Any]) -> Settings:
  """Checks a whole config: keys, types, ranges and names.

  Raises:
    UserError: naming the key at fault and the fix.
  """
  checked = settings_lib.from_dict(config)
  registries.SOURCES.check(checked.data.source)
  registries.HISTORY_ENCODERS.check(checked.model.history)
  registries.TEXT_ENCODERS.check(checked.model.text)
  registries.IMAGE_ENCODERS.check(checked.model.image)
  registries.AUDIO_ENCODERS.check(checked.model.audio)
  registries.ITEM_OBJECTIVES.check(checked.objective.items)
  registries.TAG_OBJECTIVES.check(checked.objective.tags)
  registries.OPTIMIZERS.check(checked.optimizer.name)
  PROTOCOLS.check(checked.evaluation.protocol)
  for name in checked.evaluation.baselines:
    registries.ITEM_BASELINES.check(name)
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

  source = registries.SOURCES[checked.data.source].from_settings(checked.data)
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
    Part.PERSON: [n for n in checked.model.person if n != ID],
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
    Kind.TEXT: lambda: registries.TEXT_ENCODERS[checked.model.text],
    Kind.IMAGE: lambda: registries.IMAGE_ENCODERS[checked.model.image],
    Kind.AUDIO: lambda: registries.AUDIO_ENCODERS[checked.model.audio],
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


def model(
  checked: Settings, prepared: Dataset, counts: TagCounts | None = None
) -> Task:
  """The model of a config for a data set.

  Args:
    counts: of tags, where the data set has none to count; None counts them.
  """
  encoders = feature_encoders(checked, prepared)
  written = checked.model.decoder == "sequence"
  if _writes_items(checked):
    from tagrec_jax.tasks.write_item import WriteItem

    return WriteItem(
      checked,
      prepared,
      encoders=encoders,
      history=registries.HISTORY_ENCODERS[checked.model.history],
    )
  if checked.task == "tag_item" and written:
    from tagrec_jax.tasks.write_tags import WriteTags

    return WriteTags(checked, prepared, encoders=encoders)
  if checked.task == "tag_post":
    from tagrec_jax.tasks.tag_post import TagPost

    return TagPost(
      checked,
      prepared,
      encoders=encoders,
      history=registries.HISTORY_ENCODERS[checked.model.history],
    )
  objectives = _objectives(checked, prepared, counts)
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
  encoder = registries.HISTORY_ENCODERS[checked.model.history]
  if checked.objective.question == "masked":
    return functools.partial(encoder, both_sides=True)
  return encoder


def _contrast(checked: Settings) -> Contrast | None:
  """The loss of two views of a history, if it is wanted."""
  if not checked.objective.contrast_weight:
    return None
  from tagrec_jax.objectives.contrast import Contrast

  return Contrast.from_settings(checked.objective)


def _objectives(
  checked: Settings, prepared: Dataset, counts: TagCounts | None
) -> dict[str, Any]:
  """target → its loss."""
  from tagrec_jax.data.tag_counts import TagCounts

  objective, wanted = checked.objective, targets(checked)
  made: dict[str, Any] = {}
  if "items" in wanted:
    made["items"] = registries.ITEM_OBJECTIVES[objective.items].from_settings(
      objective
    )
  if "tags" in wanted:
    counts = TagCounts.of(prepared) if counts is None else counts
    made["tags"] = registries.TAG_OBJECTIVES[objective.tags].from_settings(
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
      registries.OPTIMIZERS[checked.optimizer.name],
      checked.optimizer,
      checked.train.steps,
      made.axes,
    ),
    ema_decay=checked.optimizer.ema_decay,
    max_loss_rise=checked.optimizer.max_loss_rise,
    accumulate_steps=checked.train.accumulate_steps,
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


def check_devices(checked: Settings, devices: Sequence[Any]) -> None:
  """Raises UserError if a config needs other devices than these."""
  platform = devices[0].platform
  if checked.objective.kernel == "pallas" and platform != "tpu":
    raise UserError(
      "config.objective.kernel",
      f"found 'pallas' on devices of the kind '{platform}'",
      "'xla', as this kernel is one for TPUs",
      "set config.objective.kernel='xla'",
    )


def backend(checked: Settings, made: Recipe) -> Backend:
  """The devices of a config, ready to train.

  Raises:
    UserError: if they are not those that the config needs.
  """
  import jax

  from tagrec_jax.sharding.mesh import make_mesh
  from tagrec_jax.training.parallel import JitBackend, PmapBackend

  check_devices(checked, jax.devices())
  if checked.sharding.backend == "pmap":
    return PmapBackend(made, jax.local_devices())
  mesh = make_mesh(checked.sharding, jax.devices())
  return JitBackend(made, mesh, checked.sharding.preset)


def train_batches(
  checked: Settings, prepared: Dataset, share: tuple[int, int]
) -> TrainBatches | ProductBatches | PostBatches:
  """step → this host's share (index, count) of the batch."""
  from tagrec_jax.data.pipeline import TrainBatches
  from tagrec_jax.data.posts import PostBatches
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
  batches = PostBatches if checked.task == "tag_post" else TrainBatches
  return batches(
    prepared,
    checked.pipeline,
    moment=checked.model.moment,
    person=checked.model.person,
    seed=checked.seed,
    host=share[0],
    hosts=share[1],
  )
