"""Settings that cannot be had together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tagrec_jax.core.errors import UserError, near_multiples
from tagrec_jax.core.registry import nearest

if TYPE_CHECKING:
  from tagrec_jax.core.settings import Settings


def check_tag_item(settings: Settings) -> None:
  """A product is asked for its tags, by its content, if training had not it.

  Raises:
    UserError: naming the first key that asks for something else.
  """
  if settings.task != "tag_item":
    return
  if settings.objective.items_weight:
    raise UserError(
      "config.objective.items_weight",
      f"found {settings.objective.items_weight} with the task 'tag_item'",
      "0, as products are not asked for",
      "set config.objective.items_weight=0.0 and tags_weight=1.0",
    )
  if "id" in settings.model.product:
    raise UserError(
      "config.model.product",
      "found 'id' with the task 'tag_item'",
      "features of content, as products asked about have no row",
      "leave it out",
    )
  if not settings.data.cold_items:
    raise UserError(
      "config.data.cold_items",
      "found 0 with the task 'tag_item'",
      "a fraction of products to be asked about",
      "set config.data.cold_items=0.1",
    )


def check_train_on_valid(settings: Settings) -> None:
  """Where valid trains, nothing can be chosen by it.

  Raises:
    UserError: naming what would have to be.
  """
  if not settings.data.train_on_valid:
    return
  if settings.task == "tag_item":
    raise UserError(
      "config.data.train_on_valid",
      "found True with the task 'tag_item'",
      "False, as thresholds of tags are chosen on valid",
      "set config.data.train_on_valid=False",
    )
  if settings.train.patience:
    raise UserError(
      "config.train.patience",
      f"found {settings.train.patience} with config.data.train_on_valid",
      "0, as nothing is left to be asked while training",
      "set config.train.patience=0 and config.train.steps to the best step"
      " of a run without it",
    )


def check_views(settings: Settings) -> None:
  """Interests and views are of a person who takes the next product.

  Raises:
    UserError: naming a view that is not known, or what is set in vain.
  """
  found, known = settings.objective.contrast_views, ("mask", "crop", "reorder")
  for name in found:
    if name not in known:
      raise UserError(
        "config.objective.contrast_views",
        f"found '{name}'",
        f"some of {', '.join(known)}",
        nearest(name, list(known)),
      )
  for key, unused in {
    "objective.contrast_weight": settings.objective.contrast_weight == 0,
    "model.interests": settings.model.interests == 1,
    "objective.question": settings.objective.question == "next",
  }.items():
    if settings.task != "next_item" and not unused:
      raise UserError(
        f"config.{key}",
        f"found it set with the task '{settings.task}'",
        "the task 'next_item'",
        "leave it as in configs/base.py",
      )


def check_sequence(settings: Settings) -> None:
  """What decoder='sequence' does not read must be as in configs/base.py.

  Raises:
    UserError: naming the first key that would have no effect.
  """
  model = settings.model
  if model.decoder != "sequence":
    return
  of_items = settings.task == "next_item"
  _refuse(
    _of_all(settings)
    + (_of_items(settings) if of_items else _of_tags(settings)),
    "with config.model.decoder='sequence'",
    ", or config.model.decoder='ranking'",
  )


def check_posts(settings: Settings) -> None:
  """What posts do not read must be as in configs/base.py, and the reverse.

  Raises:
    UserError: naming the first key that would have no effect.
  """
  model, objective = settings.model, settings.objective
  if settings.task != "tag_post":
    if "id" in model.person:
      raise UserError(
        "config.model.person",
        f"found 'id' with the task '{settings.task}'",
        "classes of people, as a history tells who asks",
        "leave it out",
      )
    return
  wanted = (
    ("objective.items_weight", objective.items_weight, 0.0),
    ("objective.tags", objective.tags, "multilabel_softmax"),
    ("objective.propensity_weight", objective.propensity_weight, 0.0),
    ("objective.label_smoothing", objective.label_smoothing, 0.0),
    ("model.decoder", model.decoder, "ranking"),
    ("model.ages", model.ages, False),
    ("model.memory_weight", model.memory_weight, 0.0),
    ("optimizer.tables", settings.optimizer.tables, "dense"),
  )
  _refuse(wanted, "with the task 'tag_post'")


def check_masked(settings: Settings) -> None:
  """What is masked is read from both sides, without any order of past.

  Raises:
    UserError: naming the first key that does not go with it.
  """
  model, objective = settings.model, settings.objective
  if objective.question != "masked":
    return
  wanted = (
    ("model.history", model.history, "transformer"),
    ("model.decoder", model.decoder, "ranking"),
    ("model.interests", model.interests, 1),
    ("model.ages", model.ages, False),
    ("objective.contrast_weight", objective.contrast_weight, 0.0),
  )
  _refuse(
    wanted,
    "with config.objective.question='masked', which reads a history from both"
    " sides",
    ", or ask for what is 'next'",
  )


def check_kernel(settings: Settings) -> None:
  """A kernel of its own computes a softmax over a whole catalogue, only.

  Raises:
    UserError: naming the first key that asks for something else.
  """
  objective = settings.objective
  if objective.kernel == "xla":
    return
  losses = (
    ("items", objective.items_weight, objective.items, "softmax"),
    ("tags", objective.tags_weight, objective.tags, "multilabel_softmax"),
  )
  wanted: Wanted = (
    ("model.decoder", settings.model.decoder, "ranking"),
    ("sharding.backend", settings.sharding.backend, "jit"),
    *(
      (f"objective.{target}", found, softmax)
      for target, weight, found, softmax in losses
      if weight
    ),
  )
  _refuse(
    wanted,
    f"with config.objective.kernel='{objective.kernel}'",
    ", or config.objective.kernel='xla'",
  )


def check_layers(settings: Settings) -> None:
  """How blocks of transformers are run says nothing where there are none.

  Raises:
    UserError: naming the key that would have no effect.
  """
  model = settings.model
  reads_history = settings.task == "next_item" or (
    settings.task == "tag_post" and model.recall
  )
  blocks = (
    (reads_history and model.history in ("transformer", "long_short"))
    or model.fusion == "transformer"
    or ("text" in model.product and model.text == "transformer")
    or ("image" in model.product and model.image == "vit")
    or ("audio" in model.product and model.audio == "transformer")
  )
  if not blocks:
    wanted = (
      ("model.scan_layers", model.scan_layers, False),
      ("model.remat", model.remat, "none"),
    )
    _refuse(wanted, "where nothing is a transformer")


def check_approximate(settings: Settings) -> None:
  """Only products are searched for approximately.

  Raises:
    UserError: if a search for tags should be.
  """
  if settings.task == "next_item":
    return
  recall = settings.evaluation.approximate_recall
  wanted = (("evaluation.approximate_recall", recall, 0.0),)
  _refuse(wanted, f"with the task '{settings.task}'")


def check_neighbours(settings: Settings) -> None:
  """Products vote for tags where tags of products are ranked.

  Raises:
    UserError: where nobody would ask them.
  """
  model = settings.model
  if settings.task == "tag_item" and model.decoder == "ranking":
    return
  wanted = (("model.neighbours", model.neighbours, 0),)
  _refuse(wanted, "where tags of products are not ranked")


def check_roll_backs(settings: Settings) -> None:
  """A run goes back because of a loss above its limit.

  Raises:
    UserError: if there is no limit.
  """
  if settings.train.max_roll_backs and not settings.optimizer.max_loss_rise:
    raise UserError(
      "config.train.max_roll_backs",
      f"found {settings.train.max_roll_backs} with"
      " config.optimizer.max_loss_rise=0.0",
      "a limit of the loss, or 0",
      "set config.optimizer.max_loss_rise=1.0, or leave it out",
    )


def check_split_rows(settings: Settings) -> None:
  """Rows can be split where attention alone looks from position to position.

  Raises:
    UserError: naming the first key that does not go with it.
  """
  parts, pipeline = settings.sharding.sequence, settings.pipeline
  if parts == 1:
    return
  wanted = (
    ("task", settings.task, "next_item"),
    ("sharding.backend", settings.sharding.backend, "jit"),
    ("model.history", settings.model.history, "transformer"),
    ("model.decoder", settings.model.decoder, "ranking"),
  )
  _refuse(wanted, f"with config.sharding.sequence={parts}")
  if pipeline.row_length % parts:
    raise UserError(
      "config.pipeline.row_length",
      f"found {pipeline.row_length} with config.sharding.sequence={parts}",
      f"a multiple of {parts}",
      f"use {near_multiples(pipeline.row_length, parts)}",
    )


Wanted = tuple[tuple[str, Any, Any], ...]
"""(key, found, the only value that is read)."""


def _refuse(rows: Wanted, where: str, otherwise: str = "") -> None:
  """Raises UserError for the first key that is not as wanted.

  Args:
    where: what it does not go with. otherwise: another way to mend it.
  """
  for key, found, wanted in rows:
    if found != wanted:
      raise UserError(
        f"config.{key}",
        f"found {found!r} {where}",
        repr(wanted),
        f"set config.{key}={wanted!r}{otherwise}",
      )


def _of_all(settings: Settings) -> Wanted:
  model, objective = settings.model, settings.objective
  return (
    ("model.score", model.score, "dot"),
    ("model.temperature", model.temperature, 1.0),
    ("objective.label_smoothing", objective.label_smoothing, 0.0),
  )


def _of_items(settings: Settings) -> Wanted:
  model, objective = settings.model, settings.objective
  return (
    ("model.memory_weight", model.memory_weight, 0.0),
    ("model.interests", model.interests, 1),
    ("model.tie_products", model.tie_products, True),
    ("objective.items", objective.items, "softmax"),
    ("objective.tags_weight", objective.tags_weight, 0.0),
    ("objective.contrast_weight", objective.contrast_weight, 0.0),
    ("optimizer.tables", settings.optimizer.tables, "dense"),
  )


def _of_tags(settings: Settings) -> Wanted:
  model, objective = settings.model, settings.objective
  return (
    ("model.members", model.members, 1),
    ("objective.tags", objective.tags, "multilabel_softmax"),
    ("objective.propensity_weight", objective.propensity_weight, 0.0),
  )
